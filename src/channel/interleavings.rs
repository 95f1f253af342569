//! Every order of joins that resume, answers, leaves, crashes and interruptions, against a model: a client is told of
//! the end of each channel once, of each join's answer at most once, and of nothing afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use super::*;
use crate::lsn::Lsn;

const SEEDS: u64 = 2000;
const STEPS: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Joined,
    Gone,
}

struct World {
    random: Rng,
    now: Instant,
    conversation: Conversation,
    /// By join: its topic, its reference, its state.
    channels: BTreeMap<u32, (u8, String, State)>,
    next: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let (now, limits) = (Instant::now(), Limits { channels: 100, joins_per_second: 1000 });
        let conversation = Conversation::new(Version::V2, Profile::Default, limits, now);
        Self { random: Rng::with_seed(seed), now, conversation, channels: BTreeMap::new(), next: 0 }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.u64(0..500));
        let topic = self.random.u8(0..3);
        match self.random.u8(0..8) {
            0..=2 => self.join(topic),
            3 => self.leave(topic),
            4 | 5 => self.answer(),
            6 => self.crash(),
            _ => self.interrupt(),
        }
        for (id, (.., state)) in &self.channels {
            let channel = ChannelId(*id);
            assert_eq!(self.conversation.has_joined(channel), *state == State::Joined, "{id}");
            assert_eq!(self.conversation.awaits(channel), *state == State::Waiting, "{id}");
        }
    }

    /// The open channel of a topic: there is at most one.
    fn open(&self, topic: u8) -> Option<u32> {
        let open = |(of, _, state): &(u8, String, State)| *of == topic && *state != State::Gone;
        let mut channels = self.channels.iter().filter(|(_, channel)| open(channel));
        let first = channels.next().map(|(id, _)| *id);
        assert!(channels.next().is_none(), "two channels of one topic");
        first
    }

    /// The channel is over; the frame that says so.
    fn over(&mut self, id: u32, event: &str) -> String {
        let (topic, reference, state) = self.channels.get_mut(&id).unwrap();
        *state = State::Gone;
        format!("{event} t{topic} {reference}")
    }

    fn join(&mut self, topic: u8) {
        let mut expected = Vec::new();
        if let Some(old) = self.open(topic) {
            expected.push(format!("leave {old}"));
            expected.push(self.over(old, "phx_close"));
        }
        let reference = self.next.to_string();
        let payload = ["{}", r#"{"since":"1A-1B-0","epoch":"7-1"}"#, r#"{"since":"7-1.1A-1B-0"}"#];
        let payload = payload[self.random.usize(0..3)];
        let text = format!(r#"["{reference}","{reference}","realtime:t{topic}","phx_join",{payload}]"#);
        let effects = self.conversation.text(&text, self.now);
        expected.push(format!("join {}", self.next));
        assert_eq!(said(&effects), expected);
        self.channels.insert(self.next, (topic, reference, State::Waiting));
        self.next += 1;
    }

    fn leave(&mut self, topic: u8) {
        let text = format!(r#"[null,"9","realtime:t{topic}","phx_leave",{{}}]"#);
        let said = said(&self.conversation.text(&text, self.now));
        let mut expected = vec!["phx_reply".to_owned()];
        if let Some(open) = self.open(topic) {
            expected = vec![format!("leave {open}"), "phx_reply".to_owned(), self.over(open, "phx_close")];
        }
        let said: Vec<&str> = said
            .iter()
            .map(|said| if said.starts_with("phx_reply") { "phx_reply" } else { said.as_str() })
            .collect();
        assert_eq!(said, expected);
    }

    /// A late answer, to a join that is over, says nothing.
    fn answer(&mut self) {
        let Some(id) = self.random.choice(self.channels.keys()).copied() else { return };
        let cursor = Cursor { commit: Lsn(1), change: Lsn(1), index: 0 };
        let resumptions = [
            None,
            Some(Resumption::Held(cursor)),
            Some(Resumption::Window { oldest: cursor }),
            Some(Resumption::Epoch { oldest: cursor }),
        ];
        let admitted = self.random.bool();
        let effect = if admitted {
            let epoch = Epoch { system: 7, timeline: 1 };
            let resumption = resumptions[self.random.usize(0..resumptions.len())];
            let admission =
                Admission { position: cursor, epoch, resumption, snapshot: false, warnings: Arc::new([]) };
            self.conversation.admitted(ChannelId(id), &admission)
        } else {
            self.conversation.refused(ChannelId(id), &Refusal::Event)
        };
        let (topic, reference, state) = self.channels.get_mut(&id).unwrap();
        let mut expected = Vec::new();
        if *state == State::Waiting {
            *state = if admitted { State::Joined } else { State::Gone };
            expected.push(format!("phx_reply t{topic} {reference}"));
        }
        assert_eq!(said(&effect.into_iter().collect::<Vec<_>>()), expected);
    }

    fn crash(&mut self) {
        let Some(id) = self.random.choice(self.channels.keys()).copied() else { return };
        let open = self.channels[&id].2 != State::Gone;
        let expected: Vec<String> = open.then(|| self.over(id, "phx_error")).into_iter().collect();
        let effects: Vec<Effect> = self.conversation.crash(ChannelId(id)).into_iter().collect();
        assert_eq!(said(&effects), expected);
    }

    /// Whoever waits for an answer learns from it where it is; all others join again.
    fn interrupt(&mut self) {
        let joined = self.channels.iter().filter(|(_, (.., state))| *state == State::Joined);
        let joined: Vec<u32> = joined.map(|(id, _)| *id).collect();
        let mut expected = Vec::new();
        for id in joined {
            expected.push(format!("leave {id}"));
            expected.push(self.over(id, "phx_error"));
        }
        let mut said = said(&self.conversation.interrupt());
        said.sort();
        expected.sort();
        assert_eq!(said, expected);
    }
}

/// Effects in short: what a frame says, of which topic, and to which join.
fn said(effects: &[Effect]) -> Vec<String> {
    let said = effects.iter().map(|effect| match effect {
        Effect::Send(text) => {
            let frame: Value = serde_json::from_slice(text).unwrap();
            let text = |at: usize| frame[at].as_str().unwrap_or_default();
            format!("{} {} {}", text(3), text(2).trim_start_matches("realtime:"), text(0))
        }
        Effect::Join { channel, .. } => format!("join {}", channel.0),
        Effect::Leave { channel } => format!("leave {}", channel.0),
    });
    said.collect()
}

#[test]
fn each_channel_ends_once_in_every_order_of_events() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.step();
            }
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
