//! A hub on loopback, standard library only: answers `resolve` addresses as the live hub does and
//! fails as a test scripts it.
//!
//! Small files: 307 to `/api/resolve-cache/…` on the same host. Large files: 302 to `/cdn/…` on
//! `localhost`, which is another host than `127.0.0.1`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const MODEL: &str = "owner/name";

/// What goes wrong with one answer.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status, these headers, this body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// The right answer with one header replaced.
    Header(&'static str, String),
    /// A redirect to this address.
    Redirect(String),
    /// This body, its own length announced.
    Body(Vec<u8>),
    /// The connection is cut after as many bytes of the body.
    Cut(usize),
    /// Nothing is sent.
    Hang,
    /// Nothing more is sent after as many bytes of the body.
    HangAfter(usize),
    /// One byte of the body each 50 ms.
    Trickle,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
}

struct Rule {
    method: &'static str,
    file: &'static str,
    fault: Fault,
    times_left: usize,
}

#[derive(Default)]
struct State {
    files: HashMap<String, (Vec<u8>, Size)>,
    rules: Vec<Rule>,
    requests: Vec<Request>,
}

/// How the hub stores a file: in git, or in large file storage.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Size {
    Small,
    Large,
}

/// The hub, gone when it is dropped.
pub(crate) struct LoopbackHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    gone: Arc<AtomicBool>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl LoopbackHub {
    /// A hub with the one model `owner/name`, whose weights are large.
    pub(crate) fn start() -> Self {
        let hub = Self::empty();
        hub.add("config.json", b"{\"model_type\":\"bert\"}", Size::Small);
        hub.add("tokenizer.json", b"{\"version\":\"1.0\"}", Size::Small);
        hub.add("tokenizer_config.json", b"{}", Size::Small);
        hub.add("model.safetensors", &weights(), Size::Large);
        hub
    }

    /// A hub whose one model has no file yet.
    pub(crate) fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let hub = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::default(),
            gone: Arc::default(),
        };
        let (state, gone, address) = (hub.state.clone(), hub.gone.clone(), hub.address);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    break;
                }
                let (state, gone) = (state.clone(), gone.clone());
                // A client that goes away early is what many tests are about.
                std::thread::spawn(move || drop(answer(&stream, address, &state, &gone)));
            }
        });
        hub
    }

    /// `HF_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn add(&self, file: &str, content: &[u8], size: Size) {
        let files = &mut self.state().files;
        files.insert(file.to_owned(), (content.to_vec(), size));
    }

    pub(crate) fn remove(&self, file: &str) {
        self.state().files.remove(file);
    }

    /// Lets `method` of `file` fail the next `times` times.
    pub(crate) fn fail(
        &self,
        method: &'static str,
        file: &'static str,
        times: usize,
        fault: Fault,
    ) {
        let rule = Rule {
            method,
            file,
            fault,
            times_left: times,
        };
        self.state().rules.push(rule);
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the hub panics")
    }
}

impl Drop for LoopbackHub {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        // Wakes the listener, which then closes.
        drop(TcpStream::connect(self.address));
    }
}

/// 20,000 bytes without a pattern that a test could mistake for text.
pub(crate) fn weights() -> Vec<u8> {
    (0..20_000_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// The name of the blob: git's hash or SHA-256.
pub(crate) fn etag(content: &[u8], size: Size) -> String {
    let digest = match size {
        Size::Large => Sha256::digest(content).to_vec(),
        Size::Small => Sha1::new_with_prefix(format!("blob {}\0", content.len()))
            .chain_update(content)
            .finalize()
            .to_vec(),
    };
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Some(Request {
        method,
        path,
        host: headers.get("host").cloned().unwrap_or_default(),
        authorization: headers.get("authorization").cloned(),
    })
}

fn answer(
    mut stream: &TcpStream,
    address: SocketAddr,
    state: &Mutex<State>,
    gone: &AtomicBool,
) -> Option<()> {
    let request = read_request(stream)?;
    let (mut answer, fault) = {
        let mut state = state.lock().ok()?;
        state.requests.push(request.clone());
        (
            right_answer(&request, address, &state),
            fault(&request, &mut state),
        )
    };
    apply(fault.as_ref(), &mut answer);
    if matches!(fault, Some(Fault::Hang)) {
        return hang(gone);
    }
    stream.write_all(head(&answer).as_bytes()).ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    match fault {
        Some(Fault::Cut(bytes)) => stream.write_all(&answer.body[..bytes]).ok(),
        Some(Fault::HangAfter(bytes)) => {
            stream.write_all(&answer.body[..bytes]).ok()?;
            hang(gone)
        }
        Some(Fault::Trickle) => answer.body.iter().try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(&[*byte]).ok()
        }),
        _ => stream.write_all(&answer.body).ok(),
    }
}

/// Waits until the hub is gone.
fn hang(gone: &AtomicBool) -> Option<()> {
    while !gone.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// The fault that is scripted for the request, one time fewer. A redirect on the way to a file is
/// not the file: faults hit its content, and its headers where they are asked for.
fn fault(request: &Request, state: &mut State) -> Option<Fault> {
    let file = request.path.rsplit('/').next()?;
    let at_content = !request.path.contains("/resolve/");
    let rule = state.rules.iter_mut().find(|rule| {
        let place = match rule.fault {
            Fault::Header(..) => rule.method == "GET" || at_content == is_small(file, &state.files),
            Fault::Redirect(_) | Fault::Status(..) | Fault::Hang if rule.method == "HEAD" => {
                !at_content
            }
            _ => at_content,
        };
        place && rule.times_left > 0 && rule.method == request.method && rule.file == file
    })?;
    rule.times_left -= 1;
    Some(rule.fault.clone())
}

fn is_small(file: &str, files: &HashMap<String, (Vec<u8>, Size)>) -> bool {
    files
        .get(file)
        .is_some_and(|(_, size)| *size == Size::Small)
}

fn right_answer(request: &Request, address: SocketAddr, state: &State) -> Answer {
    let file = request.path.rsplit('/').next().unwrap_or_default();
    let not_found = |code: &str| Answer {
        status: 404,
        headers: vec![("X-Error-Code".to_owned(), code.to_owned())],
        body: Vec::new(),
    };
    if let Some(rest) = request.path.strip_prefix("/renamed/resolve") {
        return redirect(307, &format!("/{MODEL}/resolve{rest}"));
    }
    let Some(rest) = request.path.strip_prefix(&format!("/{MODEL}/resolve/")) else {
        let content =
            request.path.starts_with("/api/resolve-cache/") || request.path.starts_with("/cdn/");
        return match state.files.get(file).filter(|_| content) {
            Some((body, size)) => found(body, *size),
            None => not_found("RepoNotFound"),
        };
    };
    let revision = rest.split('/').next().unwrap_or_default();
    if ![COMMIT, "main", "refs%2Fpr%2F1"].contains(&revision) {
        return not_found("RevisionNotFound");
    }
    match state.files.get(file) {
        None => not_found("EntryNotFound"),
        Some((_, Size::Small)) => redirect(
            307,
            &format!("/api/resolve-cache/models/{MODEL}/{COMMIT}/{file}"),
        ),
        Some((body, Size::Large)) => {
            let port = address.port();
            let mut answer = redirect(302, &format!("http://localhost:{port}/cdn/{file}"));
            let headers = [
                ("X-Linked-ETag", format!("\"{}\"", etag(body, Size::Large))),
                ("X-Linked-Size", body.len().to_string()),
                ("X-Repo-Commit", COMMIT.to_owned()),
            ];
            answer
                .headers
                .extend(headers.map(|(name, value)| (name.to_owned(), value)));
            answer
        }
    }
}

fn redirect(status: u16, location: &str) -> Answer {
    Answer {
        status,
        headers: vec![("Location".to_owned(), location.to_owned())],
        body: Vec::new(),
    }
}

fn found(body: &[u8], size: Size) -> Answer {
    let headers = [
        ("ETag", format!("\"{}\"", etag(body, size))),
        ("X-Repo-Commit", COMMIT.to_owned()),
    ];
    Answer {
        status: 200,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        body: body.to_vec(),
    }
}

fn apply(fault: Option<&Fault>, answer: &mut Answer) {
    match fault {
        Some(Fault::Status(status, headers, body)) => {
            answer.status = *status;
            answer.headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            answer.body = body.as_bytes().to_vec();
        }
        Some(Fault::Header(name, value)) => {
            answer
                .headers
                .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            answer.headers.push(((*name).to_owned(), value.clone()));
        }
        Some(Fault::Redirect(location)) => *answer = redirect(302, location),
        Some(Fault::Body(body)) => answer.body.clone_from(body),
        _ => {}
    }
}

fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {} Reason\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + &format!("Content-Length: {}\r\n\r\n", answer.body.len())
}
