//! SIGHUP: the configuration file is read again and handed to the gateway process, by the control socket
//! as anybody else would. The gateway takes it whole or not at all, and runs on with what it had if not.
//!
//! A file may be on a disk that does not answer, and the gateway takes its time; so all this is done on
//! a thread of its own.

use std::fs::File;
use std::future::pending;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_api::rows::ChangeRow;
use portcullis_api::{Change, Client, ClientError, ConfigFile, Request};
use portcullis_config::MAX_FILE_BYTES;
use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

/// So long a reload is waited for. The client itself gives up sooner, the file may not.
const PATIENCE: Duration = Duration::from_secs(90);

/// Reloads, one at a time.
pub(super) struct Reloads {
    file: PathBuf,
    socket: PathBuf,
    /// The gateway process answers.
    ready: bool,
    /// Another one is to be made.
    wanted: bool,
    running: Option<Running>,
}

struct Running {
    outcome: oneshot::Receiver<Result<usize, ReloadError>>,
    deadline: Instant,
}

/// Why the gateway runs on with what it had.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("it can't be read: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{error}: {}", parts.join(", "))]
    Parts { error: ClientError, parts: Vec<String> },
    #[error("no thread: {0}")]
    Thread(io::Error),
    #[error("the reload panicked")]
    Panicked,
    #[error("no outcome after {} seconds; it may take effect yet", PATIENCE.as_secs())]
    Late,
}

impl Reloads {
    /// Reloads of this file, for the gateway behind this socket.
    pub(super) fn new(file: &Path, socket: &Path) -> Self {
        let (file, socket) = (file.to_owned(), socket.to_owned());
        Self { file, socket, ready: false, wanted: false, running: None }
    }

    /// The gateway process answers from now on.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
        self.go_on();
    }

    /// Has the file read again, as soon as that is possible.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        self.go_on();
    }

    fn go_on(&mut self) {
        if !self.ready || self.running.is_some() || !std::mem::take(&mut self.wanted) {
            return;
        }
        // Both in one message: systemd tells by the time which of its requests this is about.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            let _deaf = sd_notify::notify(&[NotifyState::Reloading, now]);
        }
        let (sender, outcome) = oneshot::channel();
        let (file, socket) = (self.file.clone(), self.socket.clone());
        let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            // Nobody waits for it any more if it was too late.
            let _ = sender.send(hand_over(&file, &socket));
        });
        match thread {
            Ok(_detached) => {
                self.running = Some(Running { outcome, deadline: Instant::now() + PATIENCE });
            }
            Err(error) => self.report(Err(ReloadError::Thread(error))),
        }
    }

    /// Waits for the end of the reload that is under way, for ever if none is, and says how it ended.
    /// May be dropped and called again.
    pub(super) async fn attend(&mut self) {
        let Some(running) = &mut self.running else { return pending().await };
        let outcome = match timeout_at(running.deadline, &mut running.outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_gone)) => Err(ReloadError::Panicked),
            Err(_late) => Err(ReloadError::Late),
        };
        self.running = None;
        self.report(outcome);
        self.go_on();
    }

    fn report(&self, outcome: Result<usize, ReloadError>) {
        let file = self.file.display();
        match outcome {
            Ok(0) => info!("SIGHUP: {file} says what is in effect already"),
            Ok(1) => info!("SIGHUP: 1 change of {file} is in effect"),
            Ok(changes) => info!("SIGHUP: {changes} changes of {file} are in effect"),
            Err(error) => warn!("SIGHUP: {file} is not in effect: {error}"),
        }
        let _deaf = sd_notify::notify(&[NotifyState::Ready]);
    }
}

/// Reads the file and has the gateway take it; says how much that changed.
fn hand_over(file: &Path, socket: &Path) -> Result<usize, ReloadError> {
    let text = read(file).map_err(ReloadError::Read)?;
    let change = Change::Apply(ConfigFile { file: file.display().to_string(), text });
    let mut client = Client::connect(socket)?;
    let mut parts = Vec::new();
    for row in client.ask::<ChangeRow>(&Request::Change(change))? {
        match row {
            Ok(row) => parts.push(row.what),
            // Rows before a refusal are what it is refused for.
            Err(error) if parts.is_empty() => return Err(error.into()),
            Err(error) => return Err(ReloadError::Parts { error, parts }),
        }
    }
    Ok(parts.len())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use super::*;

    const HELLO: &str = r#"{"hello":{"protocol":1,"version":"1","gateway":"gw"}}"#;
    const ROW: &str = r#"{"row":{"kind":"changed","what":"nat","text":"","restart":true}}"#;

    /// A file with this content, and a gateway that answers one request.
    struct Ground {
        folder: PathBuf,
        gateway: Option<JoinHandle<String>>,
    }

    impl Ground {
        fn new(name: &str, text: &[u8], answer: String) -> Self {
            let folder = std::env::temp_dir().join(format!("pc-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("gw.toml"), text).expect("a file");
            let listener = UnixListener::bind(folder.join("gw.sock")).expect("a socket");
            let gateway = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                writeln!(stream, "{HELLO}").expect("it listens");
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
                reader.read_line(&mut request).expect("a request");
                writeln!(stream, "{answer}").expect("it listens");
                request
            });
            Self { folder, gateway: Some(gateway) }
        }

        fn reloads(&self) -> Reloads {
            Reloads::new(&self.folder.join("gw.toml"), &self.folder.join("gw.sock"))
        }

        fn hand_over(&self) -> Result<usize, String> {
            let Reloads { file, socket, .. } = self.reloads();
            hand_over(&file, &socket).map_err(|error| error.to_string())
        }

        fn request(&mut self) -> String {
            self.gateway.take().expect("once").join().expect("no panic")
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn the_file_is_handed_over_as_it_is_and_its_changes_are_counted() {
        let answer = format!("{ROW}\n{ROW}\n{}", r#"{"end":{"rows":2}}"#);
        let mut ground = Ground::new("taken", b"a = \"b\"\n", answer);
        assert_eq!(ground.hand_over(), Ok(2));
        let file = ground.folder.join("gw.toml");
        let wanted = format!(r#"{{"apply":{{"file":"{}","text":"a = \"b\"\n"}}}}"#, file.display());
        assert_eq!(ground.request().trim_end(), wanted);
    }

    #[test]
    fn a_refusal_says_why_and_what_it_is_about() {
        let error = r#"{"error":{"message":"not while it runs"}}"#;
        let ground = Ground::new("refused", b"", error.to_owned());
        assert_eq!(ground.hand_over(), Err("the gateway says: not while it runs".to_owned()));
        let ground = Ground::new("marked", b"", format!("{ROW}\n{error}"));
        assert_eq!(ground.hand_over(), Err("the gateway says: not while it runs: nat".to_owned()));
    }

    #[test]
    fn a_file_that_is_gone_or_no_text_never_reaches_the_gateway() {
        let nobody = Path::new("/nowhere/gw.sock");
        let file = std::env::temp_dir().join(format!("pc-no-text-{}.toml", std::process::id()));
        let error = hand_over(&file, nobody).expect_err("there is no file");
        assert!(matches!(error, ReloadError::Read(_)), "{error}");
        std::fs::write(&file, [0xff]).expect("a file");
        let error = hand_over(&file, nobody).expect_err("it is no text");
        assert!(matches!(error, ReloadError::Read(_)), "{error}");
        std::fs::write(&file, "").expect("a file");
        let error = hand_over(&file, nobody).expect_err("there is no gateway");
        assert!(matches!(error, ReloadError::Client(_)), "{error}");
        std::fs::remove_file(&file).expect("it was there");
    }

    #[test]
    fn a_request_waits_until_the_gateway_answers_and_for_the_one_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let ground = Ground::new("waits", b"", r#"{"end":{"rows":0}}"#.to_owned());
        let mut reloads = ground.reloads();
        runtime.expect("a runtime").block_on(async {
            reloads.want();
            assert!(reloads.running.is_none(), "nobody answers yet");
            reloads.set_ready();
            assert!(reloads.running.is_some());
            reloads.want();
            reloads.want();
            reloads.attend().await;
            assert!(reloads.running.is_some() && !reloads.wanted, "once more, for both");
            // The gateway of this test is gone by then.
            reloads.attend().await;
            assert!(reloads.running.is_none());
        });
    }
}
