//! Stream data: each direction is numbered from 0, acknowledged frame by frame, and what is not
//! acknowledged is sent again.
//!
//! A receiver acknowledges only what it can take, so "not ready" is silence. The websocket below is
//! ordered and whole; frames get lost only where a connection is cut.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use uuid::Uuid;

use crate::frame::{Frame, MessageType, PayloadType, SYN};

/// How often a sender looks whether something has to be sent again.
pub const LOOK: Duration = Duration::from_millis(100);
/// How much may be under way without acknowledgement before a sender reads no more from its source.
pub const WINDOW: usize = 4 << 20;

const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(1);
const SHORTEST_VARIATION: Duration = Duration::from_millis(10);
/// How many frames are sent again at one look where acknowledgements show holes.
const BURST: usize = 128;
/// The client of AWS acknowledges a frame once and never again, so an acknowledgement that was lost
/// with a connection never comes. A frame that was sent again so often, with later ones
/// acknowledged meanwhile, has arrived.
const GIVEN_UP_AFTER: u32 = 3;

/// The sending end.
#[derive(Debug)]
pub struct Sender {
    kind: MessageType,
    next: i64,
    unacknowledged: VecDeque<Sent>,
    bytes: usize,
    /// The highest number that was acknowledged, -1 for none.
    highest: i64,
    round_trip: RoundTrip,
}

#[derive(Debug)]
struct Sent {
    sequence: i64,
    message: Bytes,
    at: Instant,
    again: u32,
    acknowledged: bool,
}

/// What the time between a frame and its acknowledgement is taken to be.
#[derive(Debug)]
struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
    timeout: Duration,
}

impl RoundTrip {
    fn new() -> Self {
        let smoothed = Duration::from_millis(100);
        Self { smoothed, variation: Duration::ZERO, timeout: FIRST_TIMEOUT }
    }

    fn sample(&mut self, sample: Duration) {
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(sample)) / 4;
        self.smoothed = (self.smoothed * 7 + sample) / 8;
        let timeout = self.smoothed + SHORTEST_VARIATION.max(self.variation * 4);
        self.timeout = timeout.min(LONGEST_TIMEOUT);
    }
}

impl Sender {
    /// A sender of `kind`: [`MessageType::OutputStreamData`] of an agent.
    pub fn new(kind: MessageType) -> Self {
        let unacknowledged = VecDeque::new();
        let round_trip = RoundTrip::new();
        Self { kind, next: 0, unacknowledged, bytes: 0, highest: -1, round_trip }
    }

    /// Numbers a payload and keeps it until it is acknowledged; the message to send. `created` in
    /// milliseconds since the Unix epoch.
    pub fn send(
        &mut self,
        payload_type: PayloadType,
        payload: Bytes,
        created: u64,
        now: Instant,
    ) -> Bytes {
        let (kind, sequence, id) = (self.kind, self.next, Uuid::new_v4());
        let flags = if sequence == 0 { SYN } else { 0 };
        let message = Frame { kind, created, sequence, flags, id, payload_type, payload }.emit();
        self.next += 1;
        self.bytes += message.len();
        let kept = message.clone();
        let sent = Sent { sequence, message: kept, at: now, again: 0, acknowledged: false };
        self.unacknowledged.push_back(sent);
        message
    }

    /// Takes note of an acknowledgement.
    pub fn acknowledged(&mut self, sequence: i64, now: Instant) {
        let Ok(at) = self.unacknowledged.binary_search_by_key(&sequence, |sent| sent.sequence)
        else {
            return;
        };
        let sent = &mut self.unacknowledged[at];
        if sent.acknowledged {
            return;
        }
        sent.acknowledged = true;
        self.highest = self.highest.max(sequence);
        if sent.again == 0 {
            self.round_trip.sample(now.saturating_duration_since(sent.at));
        }
        self.forget();
    }

    /// What has to be sent again now: the oldest frame when its time is over, and where later ones
    /// were acknowledged, others before those.
    pub fn due(&mut self, now: Instant) -> Vec<Bytes> {
        let (timeout, highest) = (self.round_trip.timeout, self.highest);
        let mut due = Vec::new();
        for (place, sent) in self.unacknowledged.iter_mut().enumerate() {
            if due.len() == BURST || (place > 0 && sent.sequence > highest) {
                break;
            }
            if sent.acknowledged || now.saturating_duration_since(sent.at) < timeout {
                continue;
            }
            if sent.again >= GIVEN_UP_AFTER && sent.sequence < highest {
                sent.acknowledged = true;
                continue;
            }
            sent.at = now;
            sent.again += 1;
            due.push(sent.message.clone());
        }
        self.forget();
        due
    }

    fn forget(&mut self) {
        while let Some(sent) = self.unacknowledged.pop_front_if(|sent| sent.acknowledged) {
            self.bytes -= sent.message.len();
        }
    }

    /// Whether so much is under way that nothing should be added.
    pub fn is_full(&self) -> bool {
        self.bytes >= WINDOW
    }

    /// Whether everything that was sent has arrived.
    pub fn is_empty(&self) -> bool {
        self.unacknowledged.is_empty()
    }
}

/// How many frames that came too early are kept.
const EARLY_FRAMES: usize = 10_000;
/// How many bytes they may have.
const EARLY_BYTES: usize = 8 << 20;
/// How many ids of frames are remembered, to tell a repeated one from a new one.
const REMEMBERED: usize = 16_384;

/// What there is to do with a numbered frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Acknowledge it and take these, in this order; possibly none yet.
    Taken(Vec<Frame>),
    /// It came before: acknowledge it again.
    Repeated,
    /// There is no room for it: say nothing, it will come again.
    Refused,
}

/// The receiving end of an agent.
///
/// AWS's client counts without a lock: now and then two different frames have the same number, and
/// the next number is then left out. So repeated frames are told by their id, a second frame of a
/// number is new data, and after one a number that is left out is not waited for.
#[derive(Debug, Default)]
pub struct Receiver {
    expected: i64,
    early: BTreeMap<i64, Vec<Frame>>,
    early_frames: usize,
    early_bytes: usize,
    known: HashSet<Uuid>,
    order: VecDeque<Uuid>,
    /// How many numbers may yet be left out.
    doubled: u32,
}

impl Receiver {
    /// Takes a numbered frame.
    pub fn receive(&mut self, frame: Frame) -> Receipt {
        if self.known.contains(&frame.id) {
            return Receipt::Repeated;
        }
        if frame.sequence < self.expected {
            self.remember(frame.id);
            self.doubled += 1;
            return Receipt::Taken(vec![frame]);
        }
        if frame.sequence == self.expected + 1
            && self.doubled > 0
            && !self.early.contains_key(&self.expected)
        {
            self.doubled -= 1;
            self.expected += 1;
        }
        if frame.sequence > self.expected {
            let bytes = self.early_bytes + frame.payload.len();
            if self.early_frames >= EARLY_FRAMES || bytes > EARLY_BYTES {
                return Receipt::Refused;
            }
            self.early_frames += 1;
            self.early_bytes = bytes;
            self.remember(frame.id);
            self.early.entry(frame.sequence).or_default().push(frame);
            return Receipt::Taken(Vec::new());
        }
        self.remember(frame.id);
        self.expected += 1;
        let mut taken = vec![frame];
        while let Some(frames) = self.early.remove(&self.expected) {
            self.expected += 1;
            self.early_frames -= frames.len();
            self.early_bytes -= frames.iter().map(|frame| frame.payload.len()).sum::<usize>();
            taken.extend(frames);
        }
        Receipt::Taken(taken)
    }

    fn remember(&mut self, id: Uuid) {
        self.known.insert(id);
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(sequence: i64, id: u128) -> Frame {
        Frame {
            kind: MessageType::InputStreamData,
            created: 1,
            sequence,
            flags: 0,
            id: Uuid::from_u128(id),
            payload_type: PayloadType::Output,
            payload: Bytes::copy_from_slice(&id.to_be_bytes()),
        }
    }

    fn ids(receipt: Receipt) -> Vec<u128> {
        match receipt {
            Receipt::Taken(frames) => frames.iter().map(|frame| frame.id.as_u128()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_are_put_in_order_and_taken_once() {
        let mut receiver = Receiver::default();
        assert_eq!(ids(receiver.receive(input(1, 11))), []);
        assert_eq!(ids(receiver.receive(input(2, 12))), []);
        assert_eq!(receiver.receive(input(1, 11)), Receipt::Repeated);
        assert_eq!(ids(receiver.receive(input(0, 10))), [10, 11, 12]);
        assert_eq!(receiver.receive(input(2, 12)), Receipt::Repeated);
        assert_eq!(ids(receiver.receive(input(3, 13))), [13]);
    }

    #[test]
    fn a_number_used_twice_is_data_and_the_next_is_not_waited_for() {
        let mut receiver = Receiver::default();
        assert_eq!(ids(receiver.receive(input(0, 1))), [1]);
        assert_eq!(ids(receiver.receive(input(0, 2))), [2]);
        assert_eq!(ids(receiver.receive(input(2, 3))), [3], "1 was left out");
        assert_eq!(ids(receiver.receive(input(4, 5))), [], "3 is waited for");
        assert_eq!(ids(receiver.receive(input(3, 4))), [4, 5]);
    }

    #[test]
    fn what_came_too_early_is_bounded() {
        let mut receiver = Receiver::default();
        let mut refused = 0;
        for number in 0..20_000 {
            let frame = input(number + 1, u128::from(number.unsigned_abs()) + 1);
            refused += usize::from(receiver.receive(frame) == Receipt::Refused);
        }
        assert_eq!(refused, 10_000);
    }

    fn sender() -> (Sender, Instant) {
        (Sender::new(MessageType::OutputStreamData), Instant::now())
    }

    fn send(sender: &mut Sender, now: Instant) -> Bytes {
        sender.send(PayloadType::Output, Bytes::from_static(b"x"), 1, now)
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_oldest_is_sent_again_as_it_was() {
        let (mut sender, start) = sender();
        let (first, second) = (send(&mut sender, start), send(&mut sender, start));
        assert!(sender.due(start + ms(199)).is_empty());
        assert_eq!(sender.due(start + ms(200)), [first], "the oldest only");
        sender.acknowledged(0, start + ms(210));
        assert_eq!(sender.due(start + ms(400)), [second]);
        sender.acknowledged(1, start + ms(410));
        assert!(sender.is_empty() && sender.due(start + ms(9_000)).is_empty());
    }

    #[test]
    fn holes_are_filled_in_one_go_and_what_is_never_acknowledged_is_given_up() {
        let (mut sender, start) = sender();
        let lost: Vec<_> = (0..50).map(|_| send(&mut sender, start)).collect();
        send(&mut sender, start);
        sender.acknowledged(50, start + ms(10));
        let mut now = start;
        for _ in 0..3 {
            now += ms(1_001);
            assert_eq!(sender.due(now), lost);
        }
        assert!(sender.due(now + ms(1_001)).is_empty());
        assert!(sender.is_empty());
    }

    #[test]
    fn a_client_that_is_not_ready_is_waited_for() {
        let (mut sender, mut now) = sender();
        send(&mut sender, now);
        for _ in 0..100 {
            now += ms(1_001);
            assert_eq!(sender.due(now).len(), 1);
        }
    }

    #[test]
    fn a_window_is_full_until_acknowledged() {
        let (mut sender, now) = sender();
        let mut sent = 0;
        while !sender.is_full() {
            sender.send(PayloadType::Output, vec![0; 32 << 10].into(), 1, now);
            sent += 1;
        }
        assert!((127..=129).contains(&sent), "{sent}");
        sender.acknowledged(0, now);
        assert!(!sender.is_full());
        sender.acknowledged(99_999, now);
        sender.acknowledged(-1, now);
    }

    proptest! {
        /// Whatever is lost, repeated or reordered, all data arrives once and in order.
        #[test]
        fn all_data_arrives_in_order(choices in prop::collection::vec(0u8..4, 0..200)) {
            let (mut sender, mut now) = sender();
            let mut receiver = Receiver::default();
            let mut wire: VecDeque<Bytes> = (0..40u8)
                .map(|n| sender.send(PayloadType::Output, vec![n].into(), 1, now))
                .collect();
            let (mut arrived, mut choices) = (Vec::new(), choices.into_iter());
            while !sender.is_empty() {
                if wire.is_empty() {
                    now += ms(1_001);
                    wire.extend(sender.due(now));
                    continue;
                }
                let message = wire.pop_front().expect("a message");
                let choice = choices.next();
                match choice {
                    // Lost.
                    Some(0) => continue,
                    // Late.
                    Some(1) => { wire.push_back(message); continue }
                    // Twice.
                    Some(2) => wire.push_back(message.clone()),
                    _ => {}
                }
                let frame = Frame::parse(&message).expect("a frame");
                let sequence = frame.sequence;
                if let Receipt::Taken(frames) = receiver.receive(frame) {
                    arrived.extend(frames.iter().map(|frame| frame.payload[0]));
                }
                // Acknowledgements get lost as well.
                if choices.next() != Some(0) {
                    sender.acknowledged(sequence, now);
                }
            }
            // One that is given up had arrived, unless it was lost each time.
            prop_assert!(arrived.is_sorted());
        }
    }
}
