//! Models of the Hugging Face Hub: from an id to a folder, by the cache or a download.
//!
//! ```no_run
//! use std::path::Path;
//! use albert_hub::{Environment, Hub, Silent, Source, Want};
//!
//! let folder = match Source::parse(Path::new("albert/albert-base-v2"))? {
//!     Source::Path(folder) => folder,
//!     Source::Hub { id, revision } => {
//!         let hub = Hub::new(Environment::of_process()?);
//!         hub.folder(&id, revision.as_deref(), Want::Model, &mut Silent)?
//!     }
//! };
//! # Ok::<(), albert_hub::Error>(())
//! ```
//!
//! This is the only crate that opens sockets to other machines. It speaks the hub's protocol over `ureq`, reads the
//! environment variables of Python's `huggingface_hub` and shares its cache in both directions; `docs/hub.md` says what
//! happens when. It prints nothing: an [`Observer`] is told.
//!
//! Modules in reading order:
//! 1. `id`: what a user may write for a model; `names`: which names from outside are safe.
//! 2. `environment` over `variables`, `proxy`: what the environment says.
//! 3. `address`, `tls`, `client`, `status`: requests, where redirects may lead, who sees the token, what refusals mean.
//! 4. `files`: which files of a repository are wanted.
//! 5. `cache`, `lock`: the folders on the disk.
//! 6. `download`, `checksum`: one file, resumed, bounded and checked.
//! 7. `store`: files into the cache, or into a folder; `hub`: all of it together.

mod address;
mod cache;
mod checksum;
mod client;
mod download;
mod environment;
mod error;
mod files;
mod hub;
mod id;
mod lock;
mod names;
mod observer;
mod proxy;
mod status;
mod store;
mod tls;
mod variables;

pub use environment::Environment;
pub use error::{Error, Result};
pub use files::Want;
pub use hub::{Hub, Pulled};
pub use id::{DEFAULT_REVISION, ModelId, Source, exists};
pub use observer::{Observer, Silent};
