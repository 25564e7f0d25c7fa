//! What a refusal of the server means, and what to do about it.

use std::time::Duration;

use crate::address::shown;
use crate::client::{Client, Response};
use crate::error::Error;
use crate::id::ModelId;

/// What a request is about, for messages.
pub(crate) struct About<'a> {
    pub(crate) id: &'a ModelId,
    pub(crate) revision: &'a str,
}

/// The error for an answer of status 400 or more.
pub(crate) fn error(client: &Client<'_>, response: &Response, about: &About<'_>) -> Error {
    // Dates are not read: whoever sends one gets the usual pauses.
    let retry_after = response.number("retry-after").map(Duration::from_secs);
    Error::Status {
        url: response.url.plain(),
        status: response.status,
        problem: problem(client, response, about, retry_after),
        retry_after,
    }
}

fn problem(
    client: &Client<'_>,
    response: &Response,
    about: &About<'_>,
    retry_after: Option<Duration>,
) -> String {
    let About { id, revision } = about;
    let place = client.environment().token_place();
    let page = client.endpoint().below(&format!("/{id}"));
    let code = response.header("x-error-code").unwrap_or_default();
    let unknown = format!(
        "no model {id} that may be seen {}: check the id for a typo; for a private model {}",
        if client.has_token() {
            "with this token"
        } else {
            "without a token"
        },
        if client.has_token() {
            format!("the token of {place} must have access to it")
        } else {
            format!("put a token into {place}")
        }
    );
    if !response.url.same_origin(client.endpoint()) && response.status < 429 {
        return format!(
            "the host that keeps the bytes of {id} refuses them: try again, and see that no proxy is in the way"
        );
    }
    match (response.status, code) {
        (401 | 403, "GatedRepo") | (403, "") => format!(
            "access to {id} must be granted: visit {page} and accept its conditions, then {}",
            if client.has_token() {
                format!("see that the token of {place} is of the same account")
            } else {
                format!("put a token of that account into {place}")
            }
        ),
        (401 | 404, "RepoNotFound") | (401, _) if code == "RepoNotFound" || !client.has_token() => {
            unknown
        }
        (401, _) => format!(
            "it does not accept the token of {place}: make a new one, or unset it for public models"
        ),
        (404, "RevisionNotFound") => {
            format!(
                "{id} has no revision {revision:?}: give a branch, a tag or a commit that {page} shows"
            )
        }
        (404, "EntryNotFound") => format!("{id} at {revision} has no such file"),
        (404, _) => {
            format!("nothing there: check the id {id}, the revision {revision:?}, and HF_ENDPOINT")
        }
        (429, _) => format!(
            "too many requests{}: try again later, or with a token",
            later(retry_after)
        ),
        (500.., _) => format!(
            "the server has a problem of its own{}: try again later",
            later(retry_after)
        ),
        _ => match response.header("x-error-message") {
            Some(message) => shown(message),
            None => "no reason is given".to_owned(),
        },
    }
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(" (it asks to wait {} seconds)", pause.as_secs())
    })
}
