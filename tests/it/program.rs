//! Foreign programs (node, python, a browser) that talk by lines.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a foreign program may take for its next line: a browser on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running program; killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// A file of this package.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Program {
    /// Starts `program ARGUMENTS` with these variables; what it says on stderr goes to ours.
    pub fn start(program: &Path, arguments: &[&Path], environment: &[(&str, &str)]) -> Self {
        let name = format!(
            "{} {}",
            program.display(),
            arguments.iter().map(|a| a.display().to_string()).collect::<String>()
        );
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; `make setup` installs it"));
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take();
        Self { name, child, stdin, stdout }
    }

    /// Its next line; `None` at its end.
    pub async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.stdout.next_line()).await;
        line.unwrap_or_else(|_| panic!("{} says nothing more", self.name)).unwrap()
    }

    /// Its next line, which must be there.
    pub async fn expect_line(&mut self) -> String {
        self.line().await.unwrap_or_else(|| panic!("{} ended early", self.name))
    }

    /// Writes a line to it.
    pub async fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its stdin is open");
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Closes its stdin, and demands that it ends well.
    pub async fn finish(mut self) {
        drop(self.stdin.take());
        while self.line().await.is_some() {}
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{} ended with {status}", self.name);
    }
}
