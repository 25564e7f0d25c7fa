//! https: certificates, and what is refused without a secure connection.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use albert_hub::{Error, Result, Want};
use albert_testing::HubServer;
use common::{COMMIT, Place, Watch, file, id};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn fixture(name: &str) -> PathBuf {
    albert_testing::fixtures().join("hub").join(name)
}

/// A server for `localhost` and `hub.invalid` with the certificate of `fixtures/hub`: answers each request by `answer`, a status line with
/// headers, and a body. Gives its port and what was asked.
fn secure(
    answer: impl Fn(&str) -> (String, Vec<u8>) + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(fixture("server.key.pem")).expect("a key");
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
    let (config, answer) = (Arc::new(config), Arc::new(answer));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection =
                rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
            thread::spawn(move || {
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        // The client did not like the certificate.
                        _ => return,
                    }
                }
                let head = String::from_utf8(head).expect("ASCII");
                seen.lock().expect("no panic").push(head.clone());
                let (start, body) = answer(&head);
                let length = format!(
                    "Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{start}{length}").as_bytes());
                if !head.starts_with("HEAD") {
                    let _ = stream.write_all(&body);
                }
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    (port, asked)
}

/// A hub whose one model is a tokenizer.
fn hub(head: &str) -> (String, Vec<u8>) {
    let words = file("vocab.txt", "[PAD]\n[UNK]\n", false);
    if head.contains("/api/") {
        let list =
            format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{{\"rfilename\": \"vocab.txt\"}}]}}");
        return ("HTTP/1.1 200 OK\r\n".to_owned(), list.into_bytes());
    }
    (
        format!("HTTP/1.1 200 OK\r\nETag: \"{}\"\r\n", words.etag()),
        words.bytes,
    )
}

fn place(host: &str, port: u16) -> Place {
    // Only its variables are wanted: nobody listens there.
    let mut place = Place::new(&HubServer::start(Vec::new()));
    place.set("HF_ENDPOINT", &format!("https://{host}:{port}"));
    place.set(
        "SSL_CERT_FILE",
        fixture("authority.pem").to_str().expect("UTF-8"),
    );
    place.set("HF_TOKEN", "hf_secret");
    place
}

fn pull(place: &Place) -> Result<PathBuf> {
    place
        .hub()
        .folder(&id(), None, Want::Tokenizer, &mut Watch::default())
}

#[test]
fn a_certificate_of_a_known_authority_is_trusted() {
    let (port, asked) = secure(hub);
    let place = place("localhost", port);
    let folder = pull(&place).expect("a tokenizer");
    assert_eq!(
        std::fs::read_to_string(folder.join("vocab.txt")).expect("there"),
        "[PAD]\n[UNK]\n"
    );
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|head| {
        head.to_lowercase()
            .contains("authorization: bearer hf_secret")
    }));
}

#[test]
fn other_certificates_are_not() {
    let (port, asked) = secure(hub);
    // One for another name.
    let error = pull(&place("127.0.0.1", port)).expect_err("another name");
    assert!(matches!(error, Error::Secure { .. }), "{error}");
    // One of an authority that nobody knows.
    let mut unknown = place("localhost", port);
    unknown.set("SSL_CERT_FILE", "");
    let error = pull(&unknown).expect_err("an unknown authority");
    assert!(matches!(error, Error::Secure { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("name its authority in SSL_CERT_FILE"),
        "{error}"
    );
    // No certificates at all.
    let mut none = place("localhost", port);
    none.set(
        "SSL_CERT_FILE",
        fixture("server.key.pem").to_str().expect("UTF-8"),
    );
    let error = pull(&none).expect_err("no certificates").to_string();
    assert!(
        error.contains("SSL_CERT_FILE names ") && error.contains("which holds no certificate"),
        "{error}"
    );
    assert_eq!(
        asked.lock().expect("no panic").len(),
        0,
        "nothing was asked, no token was sent"
    );
}

#[test]
fn no_way_leads_from_https_to_http() {
    let plain = HubServer::start(Vec::new());
    let target = plain.endpoint();
    let (port, _) = secure(move |_| {
        (
            format!("HTTP/1.1 302 Found\r\nLocation: {target}/x\r\n"),
            Vec::new(),
        )
    });
    let error = pull(&place("localhost", port)).expect_err("a downgrade");
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("from https to http: nothing was asked there"),
        "{error}"
    );
    assert_eq!(plain.seen().len(), 0);
}

/// A proxy that leads every connection to `port` of this machine. Gives its port and what it was asked.
fn proxy(port: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("an address").port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&seen);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1)
            {
                head.push(byte[0]);
            }
            seen.lock()
                .expect("no panic")
                .push(String::from_utf8(head).expect("ASCII"));
            let mut server = TcpStream::connect(("127.0.0.1", port)).expect("the server");
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .expect("an answer");
            let (mut from, mut to) = (
                client.try_clone().expect("a socket"),
                server.try_clone().expect("a socket"),
            );
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            thread::spawn(move || {
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    (own, asked)
}

#[test]
fn a_proxy_leads_to_the_server_and_sees_no_token() {
    let (port, _) = secure(hub);
    let (proxy, asked) = proxy(port);
    let mut place = place("hub.invalid", 443);
    place.set("HTTPS_PROXY", &format!("http://me:word@127.0.0.1:{proxy}"));
    let folder = pull(&place).expect("a tokenizer");
    assert!(folder.join("vocab.txt").is_file());
    let asked = asked.lock().expect("no panic");
    assert!(!asked.is_empty());
    for head in asked.iter() {
        assert!(
            head.starts_with("CONNECT hub.invalid:443 HTTP/1.1\r\n"),
            "{head}"
        );
        // me:word
        assert!(
            head.contains("Proxy-Authorization: Basic bWU6d29yZA=="),
            "{head}"
        );
        assert!(!head.contains("hf_secret"), "{head}");
    }
}
