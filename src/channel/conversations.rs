//! Plays the scripts of tests/conversations: what a client sends, what the owner of the socket answers,
//! and every effect that must follow, in order.
//!
//! ```text
//! vsn 2.0.0                    the serializer (first line)
//! limit channels 2             a limit of the socket; also: limit joins 5
//! > TEXT                       the client sends TEXT
//! binary                       the client sends a binary frame
//! wait 500                     milliseconds pass
//! admit N [WARNING]            the join N is admitted
//! refuse N                     the join N is refused (its table does not exist)
//! interrupt                    changes may have been missed
//! < TEXT                       expected: this text is sent
//! join N TOPIC PROFILE FRAMES  expected: the join N asks to be admitted
//! leave N                      expected: deliveries to join N stop
//! ```

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::lsn::Lsn;

struct Script {
    version: Version,
    limits: Limits,
    conversation: Option<Conversation>,
    now: Instant,
}

impl Script {
    fn conversation(&mut self) -> &mut Conversation {
        self.conversation
            .get_or_insert_with(|| Conversation::new(self.version, Profile::Default, self.limits, self.now))
    }

    /// Runs one line of input; `None` when the line is an expectation.
    fn input(&mut self, line: &str) -> Option<Vec<Effect>> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let id = || ChannelId(rest.split(' ').next().unwrap_or_default().parse().expect("a join's number"));
        let now = self.now;
        Some(match word {
            "vsn" => {
                self.version = Version::parse(Some(rest)).expect("a version");
                Vec::new()
            }
            "limit" => {
                let (name, value) = rest.split_once(' ').expect("limit NAME VALUE");
                let limit = match name {
                    "channels" => &mut self.limits.channels,
                    "joins" => &mut self.limits.joins_per_second,
                    other => panic!("unknown limit {other}"),
                };
                *limit = value.parse().expect("a number");
                Vec::new()
            }
            ">" => self.conversation().text(rest, now),
            "binary" => self.conversation().binary(),
            "reached" => {
                let position = Cursor { commit: Lsn(0x1A2B), change: Lsn(0x1A00), index: 3 };
                self.conversation().reached(Some((position, Epoch { system: 0xABC, timeline: 1 })));
                Vec::new()
            }
            "crash" => self.conversation().crash(id()).into_iter().collect(),
            "interrupt" => self.conversation().interrupt(),
            "wait" => {
                self.now += Duration::from_millis(rest.parse().expect("milliseconds"));
                Vec::new()
            }
            "admit" => {
                let text = rest.split_once(' ').map_or("", |(_, text)| text);
                let oldest = Cursor { commit: Lsn(0x1000), change: Lsn(0), index: 0 };
                let resumption = match text {
                    "resumed" => Some(Resumption::Held(oldest)),
                    "other epoch" => Some(Resumption::Epoch { oldest }),
                    "fallen out" => Some(Resumption::Window { oldest }),
                    _ => None,
                };
                let warns = resumption.is_none() && !text.is_empty();
                let warnings: Vec<String> = warns.then(|| text.to_owned()).into_iter().collect();
                let admission = Admission {
                    position: Cursor { commit: Lsn(0x1A2B), change: Lsn(0x1A00), index: 3 },
                    epoch: Epoch { system: 0xABC, timeline: 1 },
                    resumption,
                    snapshot: false,
                    warnings: warnings.into(),
                };
                self.conversation().admitted(id(), &admission).into_iter().collect()
            }
            "refuse" => {
                let refusal = Refusal::TableNotFound("public".into(), "nope".into());
                self.conversation().refused(id(), &refusal).into_iter().collect()
            }
            _ => return None,
        })
    }
}

fn render(effect: &Effect) -> String {
    match effect {
        Effect::Send(text) => {
            let text = std::str::from_utf8(text).expect("text frames are UTF-8");
            serde_json::from_str::<serde_json::Value>(text).expect("text frames are JSON");
            format!("< {text}")
        }
        Effect::Join { channel, spelled, options, .. } => {
            let frames = if options.star { "both" } else { "type" };
            let since = options.since.map_or(String::new(), |since| {
                let epoch = since.epoch.map_or("none".into(), |epoch| epoch.to_string());
                format!(" since {} of {epoch}", since.cursor)
            });
            format!("join {} {spelled} {:?} {frames}{since}", channel.0, options.profile)
        }
        Effect::Leave { channel } => format!("leave {}", channel.0),
    }
}

fn play(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a script");
    let limits = Limits { channels: 100, joins_per_second: 100 };
    let mut script = Script { version: Version::V1, limits, conversation: None, now: Instant::now() };
    let mut pending: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(effects) = script.input(line) {
            assert!(pending.is_empty(), "{place}: nobody expected {}", list(&pending));
            pending = effects.iter().map(render).collect();
        } else {
            assert!(!pending.is_empty(), "{place}: expected {line}, but nothing more came");
            assert_eq!(pending.remove(0), line, "{place}");
        }
    }
    assert!(pending.is_empty(), "{}: at the end nobody expected {}", path.display(), list(&pending));
}

fn list(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut all, line| {
        let _ = write!(all, "\n  {line}");
        all
    })
}

#[test]
fn every_script_of_tests_conversations_is_followed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let mut scripts: Vec<_> =
        std::fs::read_dir(folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 4, "the scripts are there");
    for script in scripts {
        play(&script);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered_without_a_panic(text in ".{0,200}", v2: bool) {
        let version = if v2 { Version::V2 } else { Version::V1 };
        let limits = Limits { channels: 2, joins_per_second: 2 };
        let mut conversation = Conversation::new(version, Profile::Default, limits, Instant::now());
        for effect in conversation.text(&text, Instant::now()) {
            render(&effect);
        }
    }

    #[test]
    fn every_join_has_exactly_one_answer(events in proptest::collection::vec((0..3_u8, 0..3_u8, proptest::bool::ANY), 0..40)) {
        let limits = Limits { channels: 100, joins_per_second: 100 };
        let now = Instant::now();
        let mut conversation = Conversation::new(Version::V2, Profile::Default, limits, now);
        let mut asked = Vec::new();
        let mut answers = std::collections::HashMap::<String, usize>::new();
        let mut joins = Vec::new();
        let mut left = std::collections::HashSet::new();
        for (number, (topic, event, accept)) in events.into_iter().enumerate() {
            let reference = format!("\"{number}\"");
            let effects = match event {
                0 => {
                    joins.push(reference.clone());
                    conversation.text(&format!("[{reference},{reference},\"realtime:t{topic}\",\"phx_join\",{{}}]"), now)
                }
                1 => conversation.text(&format!("[null,null,\"realtime:t{topic}\",\"phx_leave\",{{}}]"), now),
                _ => {
                    let Some((channel, _)) = asked.pop() else { continue };
                    let epoch = Epoch { system: 1, timeline: 1 };
                    let admission = Admission { position: Cursor::default(), epoch, resumption: None, snapshot: false, warnings: [].into() };
                    let awaited = conversation.awaits(channel);
                    let effect = if accept {
                        conversation.admitted(channel, &admission)
                    } else {
                        conversation.refused(channel, &Refusal::Event)
                    };
                    proptest::prop_assert_eq!(effect.is_some(), awaited);
                    effect.into_iter().collect()
                }
            };
            for effect in effects {
                match effect {
                    Effect::Send(text) => {
                        let frame: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("an array");
                        if frame[3] == "phx_reply" {
                            *answers.entry(frame[1].to_string()).or_default() += 1;
                        }
                    }
                    Effect::Join { channel, .. } => asked.push((channel, reference.clone())),
                    Effect::Leave { channel } => {
                        left.insert(channel.0);
                    }
                }
            }
        }
        let waiting: Vec<&String> = asked.iter().filter(|(channel, _)| !left.contains(&channel.0)).map(|(_, r)| r).collect();
        for join in &joins {
            let count = answers.get(join).copied().unwrap_or_default();
            let open = waiting.contains(&join);
            proptest::prop_assert!(count <= 1 && (count == 0 || !open), "{join}: {count}");
        }
    }
}
