//! A process of the server: its output read to the end, its address heard.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) listening: watch::Receiver<Option<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    /// Starts the program; everything that it says goes to the log.
    pub(crate) fn start(mut command: Command, log: &Arc<Mutex<String>>) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (said, listening) = watch::channel(None);
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let kept = Arc::clone(log);
        let out = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                keep(&kept, line.as_bytes());
                keep(&kept, b"\n");
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = said.send(Some(url.trim().to_owned()));
                } else if line.starts_with("at work;") {
                    // Without the role `api` there is no address.
                    let _ = said.send(Some(String::new()));
                }
            }
        });
        let mut stderr = child.stderr.take().expect("its log");
        let kept = Arc::clone(log);
        let err = std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                keep(&kept, &piece[..read]);
            }
        });
        Self {
            child,
            listening,
            readers: vec![out, err],
        }
    }

    /// Waits for the end and for the last of the output.
    pub(crate) fn finish(mut self) -> ExitStatus {
        let status = self.child.wait().expect("a child's status");
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status
    }
}

fn keep(log: &Mutex<String>, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    log.lock().expect("the log").push_str(&text);
}
