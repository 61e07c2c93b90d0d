//! A hub on loopback, standard library only: answers `resolve` addresses as the live hub does and
//! fails as a test scripts it.
//!
//! Small files: 307 to `/api/resolve-cache/…` on the same host. Large files: 302 to `/cdn/…` on
//! `localhost`, which is another host than `127.0.0.1`.

mod answers;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use answers::{apply, head, right_answer};
pub(crate) use answers::{etag, weights};

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
    /// The answer does not say how long the content is.
    Unsized,
    /// Nor does this one, and its content has no end.
    Endless,
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
    endless_bytes: u64,
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
                std::thread::spawn(move || answer(&stream, address, &state, &gone));
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

    /// The bytes that endless answers have sent.
    pub(crate) fn endless_bytes(&self) -> u64 {
        self.state().endless_bytes
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
    let has_length = !matches!(fault, Some(Fault::Unsized | Fault::Endless));
    stream
        .write_all(head(&answer, has_length).as_bytes())
        .ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    match fault {
        Some(Fault::Cut(bytes)) => stream.write_all(&answer.body[..bytes]).ok(),
        Some(Fault::HangAfter(bytes)) => {
            stream.write_all(&answer.body[..bytes]).ok()?;
            hang(gone)
        }
        Some(Fault::Endless) => loop {
            stream.write_all(&[b'x'; 1 << 14]).ok()?;
            state.lock().ok()?.endless_bytes += 1 << 14;
        },
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
            Fault::Header(..) | Fault::Unsized => {
                rule.method == "GET" || at_content == is_small(file, &state.files)
            }
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
