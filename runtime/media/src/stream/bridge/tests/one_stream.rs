//! Whatever a far end, its network and we do: who hears it hears one stream.

use super::*;

/// What may happen to one of the operator's packets, and what we do meanwhile.
#[derive(Debug, Clone, Copy)]
enum Step {
    Sound { late_ms: u64, twice: bool },
    Lost,
    Silence { packets: u16, marker: bool },
    Noise,
    Press { packets: u16 },
    ClockJumps { by: u32, marker: bool },
    NumbersJump { by: u16 },
    OtherSource,
    Play { ms: u16 },
    Stop,
    Keys,
    Bridge,
    Unbridge,
    Hold,
    Resume,
}

fn tame() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0u64..50, any::<bool>()).prop_map(|(late_ms, twice)| Step::Sound { late_ms, twice: twice && late_ms > 40 }),
        2 => Just(Step::Lost),
        1 => (1u16..60, any::<bool>()).prop_map(|(packets, marker)| Step::Silence { packets, marker }),
        1 => Just(Step::Noise),
        1 => (1u16..12).prop_map(|packets| Step::Press { packets }),
        1 => (1u16..300).prop_map(|ms| Step::Play { ms }),
        1 => Just(Step::Stop),
        1 => Just(Step::Keys),
        1 => Just(Step::Bridge),
        1 => Just(Step::Unbridge),
        1 => Just(Step::Hold),
        2 => Just(Step::Resume),
    ]
}

fn wild() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => tame(),
        3 => (0u64..700, any::<bool>()).prop_map(|(late_ms, twice)| Step::Sound { late_ms, twice }),
        1 => (any::<u32>(), any::<bool>()).prop_map(|(by, marker)| Step::ClockJumps { by, marker }),
        1 => (0u32..20_000, any::<bool>()).prop_map(|(by, marker)| Step::ClockJumps { by, marker }),
        1 => any::<u16>().prop_map(|by| Step::NumbersJump { by }),
        1 => Just(Step::OtherSource),
    ]
}

/// The operator's telephone: its packets, on their way.
struct Phone {
    header: Header,
    under_way: Vec<(u64, Header, Vec<u8>)>,
    lost: usize,
}

impl Phone {
    fn send(&mut self, at_ms: u64, payload_type: u8, payload: &[u8]) {
        let header = Header { payload_type, ..self.header };
        self.under_way.push((at_ms, header, payload.to_vec()));
    }

    fn next(&mut self) {
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(160);
        self.header.marker = false;
    }
}

/// Plays a script; afterwards looks at everything that left to the caller.
fn play_script(steps: &[Step], far_off: i32) -> Result<(), TestCaseError> {
    let mut line = Joined::bridged();
    let mut phone = Phone { header: sound(0), under_way: Vec::new(), lost: 0 };
    let mut holes_allowed = 0;
    let mut quiet_since: Option<u64> = None; // while something keeps the bridge from sending
    let mut seen = 0;
    let mut last_left = 0;
    for step in steps {
        let now_ms = line.now_ms;
        let mut lasts_ms = 20;
        if matches!(
            step,
            Step::Play { .. }
                | Step::Stop
                | Step::Keys
                | Step::Bridge
                | Step::Unbridge
                | Step::Hold
                | Step::Resume
        ) {
            phone.header.timestamp = phone.header.timestamp.wrapping_add(160); // he says nothing meanwhile
        }
        match *step {
            Step::Sound { late_ms, twice } => {
                let byte = phone.header.sequence as u8;
                phone.send(now_ms + late_ms, 8, &[byte; FRAME]);
                if twice {
                    phone.send(now_ms + late_ms + 5, 8, &[byte; FRAME]);
                }
                phone.next();
            }
            Step::Lost => {
                phone.lost += 1;
                phone.next();
            }
            Step::Silence { packets, marker } => {
                phone.header.timestamp = phone.header.timestamp.wrapping_add(u32::from(packets) * 160);
                phone.header.marker = marker;
                lasts_ms = u64::from(packets) * 20;
            }
            Step::Noise => {
                phone.send(now_ms, 13, &[60]);
                phone.next();
            }
            Step::Press { packets } => {
                let pressed = phone.header.timestamp;
                lasts_ms = u64::from(packets) * 20;
                for n in 1..=packets {
                    let [high, low] = (n * 160).to_be_bytes();
                    let ended = if n + 2 >= packets { 0x80 } else { 0 };
                    let after = phone.header.timestamp;
                    phone.header.timestamp = pressed;
                    phone.header.marker = n == 1;
                    phone.send(now_ms + u64::from(n) * 20 - 20, EVENTS[OPERATOR], &[3, ended, high, low]);
                    phone.header.timestamp = after;
                    phone.next();
                }
            }
            Step::ClockJumps { by, marker } => {
                phone.header.timestamp = phone.header.timestamp.wrapping_add(by);
                phone.header.marker = marker;
                continue;
            }
            Step::NumbersJump { by } => {
                phone.lost += usize::from(by.min(64));
                phone.header.sequence = phone.header.sequence.wrapping_add(by);
                continue;
            }
            Step::OtherSource => {
                phone.header.ssrc += 1;
                phone.header.sequence = phone.header.sequence.wrapping_mul(31);
                continue;
            }
            Step::Play { ms } => line.play(CALLER, prompt(ms.into())),
            Step::Stop => line.streams[CALLER].stop(),
            Step::Keys => {
                line.streams[CALLER].send_keys(b"1", KeyTiming::default());
                line.hurry(CALLER);
            }
            Step::Bridge => {
                line.bridge();
                holes_allowed += phone.under_way.len(); // it has forgotten which came already
            }
            Step::Unbridge => line.unbridge(),
            Step::Hold | Step::Resume => {
                let now = line.now();
                let send = matches!(step, Step::Resume);
                line.streams[CALLER].start(now, MediaPlan { send, ..plan(CALLER) });
            }
        }
        for _ in 0..lasts_ms {
            phone.under_way.sort_by_key(|(at, ..)| *at);
            while phone.under_way.first().is_some_and(|(at, ..)| *at <= line.now_ms) {
                let (_, header, payload) = phone.under_way.remove(0);
                // Whatever is not handed on leaves a hole, at most.
                let before = line.left[CALLER].len();
                line.say(OPERATOR, header, &payload);
                holes_allowed += usize::from(line.left[CALLER].len() == before);
            }
            line.wait(1);
            // The pace: while bridged and not held, no telephone would wait longer for a packet.
            let stream = &line.streams[CALLER];
            let sends = line.bridged
                && stream.plan.as_ref().is_some_and(|plan| plan.send)
                && !stream.keys_out.is_busy();
            if !sends {
                quiet_since = None;
            } else if line.left[CALLER].len() > seen || quiet_since.is_none() {
                quiet_since = Some(line.now_ms);
            }
            seen = line.left[CALLER].len();
            if let Some(since) = quiet_since {
                last_left = last_left.max(line.now_ms - since);
            }
        }
    }
    prop_assert!(last_left <= 125, "nothing left for {} ms", last_left);
    let mut packets: Vec<(u64, &Left)> = Vec::new();
    let mut highest = u64::from(FIRST.sequence) + (1 << 16);
    for left in &line.left[CALLER] {
        prop_assert_eq!(left.header.ssrc, FIRST.ssrc);
        let step = left.header.sequence.wrapping_sub(highest as u16).cast_signed();
        let number = highest.checked_add_signed(step.into()).expect("far from zero");
        highest = highest.max(number);
        let clock = FIRST.timestamp.wrapping_add(left.ms as u32 * 8);
        if left.header.payload_type == 8 {
            let off = ahead(left.header.timestamp, clock);
            prop_assert!(off.abs() <= far_off, "{} samples off the clock at {} ms", off, left.ms);
        }
        packets.push((number, left));
    }
    packets.sort_by_key(|(number, _)| *number);
    let mut last: Option<(u64, u32)> = None; // number, end of the sound
    let mut holes = 0;
    let mut before: Option<u64> = None;
    for (number, left) in packets {
        if let Some(before) = before {
            prop_assert_ne!(number, before, "a number twice, at {} ms", left.ms);
            holes += usize::try_from(number - before - 1).expect("small");
        }
        before = Some(number);
        if left.header.payload_type != 8 {
            continue;
        }
        let timestamp = left.header.timestamp;
        if let Some((_, end)) = last {
            prop_assert!(ahead(timestamp, end) >= 0, "back by {} at {} ms", ahead(end, timestamp), left.ms);
        }
        last = Some((number, timestamp.wrapping_add(left.payload.len() as u32)));
    }
    let allowed = phone.lost + holes_allowed + phone.under_way.len();
    prop_assert!(holes <= allowed, "{} holes, {} can be explained", holes, allowed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The operator's network loses, delays, repeats; the caller is played prompts, sent keys, bridged, held: he hears
    /// one stream, in step with the clock, whose only holes are what was lost.
    #[test]
    fn the_receiver_hears_one_stream(steps in proptest::collection::vec(tame(), 1..150)) {
        play_script(&steps, 200 * 8)?;
    }

    /// The same with a far end that jumps as it likes.
    #[test]
    fn the_receiver_hears_one_stream_whatever_the_far_end_does(steps in proptest::collection::vec(wild(), 1..150)) {
        play_script(&steps, FAR_OFF + 2 * FRAME as i32)?;
    }
}
