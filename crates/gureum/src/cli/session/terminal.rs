//! What a session leads to on this side: our terminal for a shell, or our standard streams as they
//! are.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::fd::AsFd as _,
    thread,
};

use bytes::Bytes;
use gureum_session::{client::Event, frame::PayloadType, message::Size};
use rustix::termios::tcgetwinsize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::channel::Ends;
use crate::cli::terminal::RawMode;

/// How much of what is typed goes into a message at most; of a stream, more.
const TYPED: usize = 1024;
const STREAMED: usize = 32 << 10;
/// What ends the input of a program that reads from a terminal.
const END_OF_INPUT: &[u8] = b"\x04";

/// How a session ended.
pub(super) enum End {
    /// The service said so, with a reason or none.
    Closed(String),
    /// We are to end, by this signal.
    Signal(i32),
    /// We are done with it.
    Left,
}

/// A shell or a command: keys go there as they are, the size of our window too. Where our input is no
/// terminal, its end ends the input of what runs there.
pub(super) async fn shell(mut ends: Ends) -> Result<End, String> {
    let _raw = match io::stdin().is_terminal() {
        true => Some(RawMode::enter().map_err(|error| format!("the terminal: {error}"))?),
        false => None,
    };
    let mut signals = Signals::watch().map_err(|error| error.to_string())?;
    let mut typed = read_input(TYPED);
    let (mut shown, mut at_end) = (None, false);
    let mut out = output().map_err(|error| error.to_string())?;
    resize(&ends, &mut shown).await;
    loop {
        tokio::select! {
            event = ends.events.recv() => match event {
                Some(Ok(Event::Output(_, bytes))) => show(&mut out, &bytes)?,
                Some(Ok(Event::Closed(why))) => return Ok(End::Closed(why)),
                Some(Ok(Event::Begun { .. } | Event::Flag(_))) => {}
                Some(Err(why)) => return Err(why),
                None => return Ok(End::Left),
            },
            keys = typed.recv(), if !at_end => {
                at_end = keys.is_none();
                let keys = keys.unwrap_or(Bytes::from_static(END_OF_INPUT));
                let _ = ends.input.send((PayloadType::Output, keys)).await;
            }
            told = signals.next() => match told {
                None => resize(&ends, &mut shown).await,
                Some(number) => return Ok(End::Signal(number)),
            },
        }
    }
}

/// A connection on our standard streams, as a `ProxyCommand` has it. The end of our input ends it.
pub(super) async fn streams(mut ends: Ends) -> Result<End, String> {
    let mut signals = Signals::watch().map_err(|error| error.to_string())?;
    let mut input = read_input(STREAMED);
    let mut out = output().map_err(|error| error.to_string())?;
    loop {
        tokio::select! {
            event = ends.events.recv() => match event {
                Some(Ok(Event::Output(_, bytes))) => show(&mut out, &bytes)?,
                Some(Ok(Event::Closed(why))) => return Ok(End::Closed(why)),
                Some(Ok(Event::Begun { .. } | Event::Flag(_))) => {}
                Some(Err(why)) => return Err(why),
                None => return Ok(End::Left),
            },
            bytes = input.recv() => match bytes {
                Some(bytes) => {
                    let _ = ends.input.send((PayloadType::Output, bytes)).await;
                }
                None => return Ok(End::Left),
            },
            number = signals.end() => return Ok(End::Signal(number)),
        }
    }
}

/// Our standard output, unbuffered.
fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn show(out: &mut File, bytes: &[u8]) -> Result<(), String> {
    out.write_all(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => String::new(),
        _ => format!("cannot write to standard output: {error}"),
    })
}

/// Reads our standard input on a thread of its own, which ends with the process.
fn read_input(chunk: usize) -> mpsc::Receiver<Bytes> {
    let (typed, keys) = mpsc::channel(4);
    thread::spawn(move || {
        let mut buffer = vec![0; chunk];
        loop {
            match io::stdin().read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    if typed.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    keys
}

/// Tells the size of our window, where there is one and it is new.
async fn resize(ends: &Ends, shown: &mut Option<Size>) {
    let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) else { return };
    let size = Size { cols: size.ws_col, rows: size.ws_row };
    if size.cols == 0 || size.rows == 0 || *shown == Some(size) {
        return;
    }
    *shown = Some(size);
    if let Ok(text) = serde_json::to_vec(&size) {
        let _ = ends.input.send((PayloadType::Size, text.into())).await;
    }
}

/// The signals that a session minds.
pub(super) struct Signals {
    window: Signal,
    ends: [(Signal, i32); 3],
}

impl Signals {
    /// From now on.
    pub(super) fn watch() -> io::Result<Self> {
        let one = |kind: SignalKind| Ok::<_, io::Error>((signal(kind)?, kind.as_raw_value()));
        let window = signal(SignalKind::window_change())?;
        let ends = [
            one(SignalKind::terminate())?,
            one(SignalKind::hangup())?,
            one(SignalKind::interrupt())?,
        ];
        Ok(Self { window, ends })
    }

    /// The number of a signal by which we are to end, or nothing where our window has another size.
    async fn next(&mut self) -> Option<i32> {
        let [(a, first), (b, second), (c, third)] = &mut self.ends;
        tokio::select! {
            _ = self.window.recv() => None,
            _ = a.recv() => Some(*first),
            _ = b.recv() => Some(*second),
            _ = c.recv() => Some(*third),
        }
    }

    /// The number of a signal by which we are to end.
    pub(super) async fn end(&mut self) -> i32 {
        loop {
            if let Some(number) = self.next().await {
                return number;
            }
        }
    }
}
