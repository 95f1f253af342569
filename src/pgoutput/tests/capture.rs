//! The files that `scripts/capture_golden.sh` writes; their form is described there.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::lsn::Lsn;

pub(super) const CAPTURES: [&str; 8] = [
    "pg15-changes",
    "pg15-via-root",
    "pg15-binary",
    "pg15-sql-ascii",
    "pg18-changes",
    "pg18-via-root",
    "pg18-binary",
    "pg18-sql-ascii",
];

pub(super) struct Captured {
    pub(super) lsn: Lsn,
    pub(super) xid: u32,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Capture {
    pub(super) messages: Vec<Captured>,
    /// `pg_xact_commit_timestamp` by xid.
    pub(super) commit_times: HashMap<u32, i64>,
}

pub(super) fn path(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", file].iter().collect()
}

pub(super) fn load(name: &str) -> Capture {
    let path = path(&format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut capture = Capture { messages: Vec::new(), commit_times: HashMap::new() };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "commit", xid, time] => {
                capture.commit_times.insert(xid.parse().unwrap(), time.parse().unwrap());
            }
            ["#", ..] => {}
            [lsn, xid, hex] => capture.messages.push(Captured {
                lsn: lsn.parse().unwrap(),
                xid: xid.parse().unwrap(),
                bytes: unhex(hex),
            }),
            _ => panic!("{}: cannot read the line: {line}", path.display()),
        }
    }
    capture
}

pub(super) fn all_messages() -> Vec<Vec<u8>> {
    CAPTURES.iter().flat_map(|name| load(name).messages).map(|message| message.bytes).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |digit: char| u8::try_from(digit.to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = hex.chars().map(digit).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
