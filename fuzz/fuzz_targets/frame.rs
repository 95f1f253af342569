//! Frames from clients: both serializers and the conversation behind them. No panic, and whatever a client
//! says, what it is sent back is JSON.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use walcast::change::value::Profile;
use walcast::channel::refusal::Refusal;
use walcast::channel::serializer::{Version, decode};
use walcast::channel::{Admission, Conversation, Effect, Limits};
use walcast::lsn::{Cursor, Epoch};

// Every line is one frame of one socket.
fuzz_target!(|text: &str| {
    let now = Instant::now();
    for version in Version::ALL {
        let mut conversation =
            Conversation::new(version, Profile::Default, Limits { channels: 3, joins_per_second: 4 }, now);
        for (line, moment) in text.lines().zip(0..) {
            let _ = decode(version, line);
            let effects = conversation.text(line, now + Duration::from_millis(100 * moment));
            assert!(!effects.is_empty() || decode(version, line).is_ok(), "an unreadable frame is answered");
            for effect in effects {
                follow(&mut conversation, effect, moment);
            }
        }
        if let Effect::Send(answer) = conversation.binary().remove(0) {
            json(&answer);
        }
    }
});

/// Does what the owner of the socket would do; every other join is refused.
fn follow(conversation: &mut Conversation, effect: Effect, moment: u64) {
    let answer = match effect {
        Effect::Send(frame) => return json(&frame),
        Effect::Leave { .. } => return,
        Effect::Join { channel, spelled, .. } => {
            assert!(conversation.awaits(channel));
            let answer = if moment % 2 == 0 {
                let admission = Admission {
                    position: Cursor::default(),
                    epoch: Epoch { system: 1, timeline: 1 },
                    warnings: [spelled.to_string()].into(),
                };
                conversation.admitted(channel, &admission)
            } else {
                conversation.refused(channel, &Refusal::Event)
            };
            assert!(!conversation.awaits(channel), "one answer is all there is");
            answer
        }
    };
    match answer {
        Some(Effect::Send(frame)) => json(&frame),
        other => panic!("a join that waits is answered, not {other:?}"),
    }
}

fn json(frame: &[u8]) {
    serde_json::from_slice::<&RawValue>(frame).expect("JSON");
}
