//! SIGHUP: the file that the gateway was started with is read again, and taken as `apply` would take it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use portcullis_config::MAX_FILE_BYTES;
use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::running::{Configurations, Refusal};

/// Each time that the signal comes.
pub(crate) async fn on_hangups(mut hangup: Signal, configurations: &Configurations, path: &Path) {
    while hangup.recv().await.is_some() {
        reload(configurations, path).await;
    }
}

/// There is nobody to answer to but the log.
async fn reload(configurations: &Configurations, path: &Path) {
    let file = path.display().to_string();
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return warn!("SIGHUP: nothing was changed: {file} can't be read: {error}"),
    };
    match configurations.apply(&file, &text).await {
        // What was changed is logged where it is done, for all who ask for it.
        Ok(changes) if !changes.is_empty() => {}
        Ok(_) => info!("SIGHUP: no changes in {file}"),
        Err(Refusal::Invalid(report)) => warn!("SIGHUP: nothing was changed:\n{report}"),
        Err(Refusal::NeedsRestart(changes)) => {
            let what: Vec<_> = changes.iter().map(|change| change.what.as_str()).collect();
            warn!(
                "SIGHUP: nothing was changed: only a restart can change this: {}",
                what.join(", ")
            );
        }
        Err(refusal @ (Refusal::Silent(_) | Refusal::Manager(_))) => warn!("SIGHUP: {refusal}"),
    }
}

/// The file's text. This thread has a socket to answer: it waits for no pipe, and reads no more than
/// a configuration can have.
fn read(path: &Path) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is too large for a configuration"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_is_read() {
        let error = read(Path::new("/dev/zero")).expect_err("a device");
        assert_eq!(error.to_string(), "it is no file");
        assert!(read(Path::new("/nowhere")).is_err());
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(read(&here).is_ok_and(|text| text.contains("portcullis-gateway")));
    }
}
