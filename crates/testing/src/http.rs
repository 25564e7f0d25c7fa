//! A little of HTTP/1.1: requests, answers that are sent well or badly.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct HubRequest {
    /// GET or HEAD.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whether it came to the host of large files.
    pub storage: bool,
}

impl HubRequest {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether this asks for a file's bytes, wherever they are stored.
    pub fn is_get(&self, part: &str) -> bool {
        self.method == "GET" && self.target.contains(part)
    }
}

/// How an answer is sent.
#[derive(Clone, Debug)]
pub enum Manner {
    /// At once.
    Whole,
    /// This many bytes of the body, then the connection ends.
    Cut(usize),
    /// This many bytes at a time, with pauses.
    Slow(usize, Duration),
    /// Nothing for this long, then the connection ends.
    Hang(Duration),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Length` is added if it is not there.
    pub headers: Vec<(&'static str, String)>,
    /// The body; not sent to HEAD.
    pub body: Vec<u8>,
    /// How it is sent.
    pub manner: Manner,
}

impl Reply {
    /// A status without more.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            manner: Manner::Whole,
        }
    }

    /// A body.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::status(200)
        }
    }

    /// With another header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Sent in another manner.
    #[must_use]
    pub fn sent(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }
}

/// Answers the requests of one connection.
pub(crate) fn serve(
    stream: TcpStream,
    storage: bool,
    answer: &dyn Fn(&HubRequest) -> Reply,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut stream = stream;
    loop {
        let Some(first) = lines.next() else {
            return Ok(());
        };
        let first = first?;
        let mut words = first.split(' ');
        let mut request = HubRequest {
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            headers: Vec::new(),
            storage,
        };
        for line in lines.by_ref() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                request
                    .headers
                    .push((name.to_lowercase(), value.trim().to_owned()));
            }
        }
        let reply = answer(&request);
        if !send(&mut stream, &request, &reply)? {
            return Ok(());
        }
    }
}

/// Whether the connection stays.
fn send(stream: &mut TcpStream, request: &HubRequest, reply: &Reply) -> std::io::Result<bool> {
    if let Manner::Hang(pause) = reply.manner {
        thread::sleep(pause);
        return Ok(false);
    }
    let mut head = format!("HTTP/1.1 {} x\r\n", reply.status);
    let mut headers = reply.headers.clone();
    if !headers
        .iter()
        .any(|(name, _)| ["Content-Length", "Transfer-Encoding"].contains(name))
    {
        headers.push(("Content-Length", reply.body.len().to_string()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    match reply.manner {
        Manner::Cut(bytes) => {
            stream.write_all(&reply.body[..bytes.min(reply.body.len())])?;
            return Ok(false);
        }
        Manner::Slow(bytes, pause) => {
            for part in reply.body.chunks(bytes) {
                stream.write_all(part)?;
                stream.flush()?;
                thread::sleep(pause);
            }
        }
        _ => stream.write_all(&reply.body)?,
    }
    Ok(true)
}

/// All bytes, or those from the start of `Range: bytes=N-`.
pub(crate) fn ranged(request: &HubRequest, bytes: &[u8]) -> Reply {
    let start = request.header("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    match start {
        None => Reply::body(bytes),
        Some(start) if start < bytes.len() => Reply {
            status: 206,
            ..Reply::body(&bytes[start..])
        }
        .with(
            "Content-Range",
            format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()),
        ),
        Some(_) => Reply::status(416).with("Content-Range", format!("bytes */{}", bytes.len())),
    }
}
