//! A forwarded port: connections to a port of this machine become streams of the session.

use std::{collections::HashMap, io};

use bytes::{Bytes, BytesMut};
use gureum_session::{
    client::Event,
    frame::{Flag, PayloadType},
    smux::{Command, Decoder, Frame},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{
    channel::Ends,
    terminal::{End, Signals},
};

/// How much is read from a connection at once.
const CHUNK: usize = 32 << 10;
/// Messages that wait for one connection.
const QUEUE: usize = 32;
/// The number of a session's first stream; each has two more than the one before.
const FIRST_STREAM: u32 = 3;

/// Where what a client's connections read goes.
type Input = mpsc::Sender<(PayloadType, Bytes)>;

/// Listens on the loopback address, at any free port where `port` is 0.
pub(super) async fn listen(port: u16) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {port} of this machine is in use"),
        _ => format!("cannot listen at port {port}: {error}"),
    })
}

/// Carries connections until the session ends or we are told to.
pub(super) async fn forward(mut ends: Ends, listener: TcpListener) -> Result<End, String> {
    let mut signals = Signals::watch().map_err(|error| error.to_string())?;
    let mut streams: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    let (over, mut gone) = mpsc::channel(QUEUE);
    let mut decoder = Decoder::default();
    let mut next = FIRST_STREAM;
    loop {
        let bytes = tokio::select! {
            event = ends.events.recv() => match event {
                Some(Ok(Event::Output(PayloadType::Output, bytes))) => bytes,
                Some(Ok(Event::Flag(Flag::ConnectToPortError))) => {
                    eprintln!("Connection to destination port failed, check SSM Agent logs.");
                    continue;
                }
                Some(Ok(Event::Closed(why))) => return Ok(End::Closed(why)),
                Some(Ok(_)) => continue,
                Some(Err(why)) => return Err(why),
                None => return Ok(End::Left),
            },
            accepted = listener.accept() => {
                let (connection, _) = accepted.map_err(|error| error.to_string())?;
                let (queue, data) = mpsc::channel(QUEUE);
                streams.insert(next, queue);
                let (input, over, stream) = (ends.input.clone(), over.clone(), next);
                next += 2;
                tokio::spawn(async move {
                    connect(stream, connection, data, &input).await;
                    let _ = over.send(stream).await;
                });
                continue;
            }
            Some(stream) = gone.recv() => {
                streams.remove(&stream);
                continue;
            }
            number = signals.end() => return Ok(End::Signal(number)),
        };
        decoder.push(&bytes);
        while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
            match frame.command {
                Command::Push(data) => {
                    // One that is slow makes all of them wait: streams have no window of their own.
                    if let Some(queue) = streams.get(&frame.stream) {
                        let _ = queue.send(data).await;
                    }
                }
                Command::Fin => drop(streams.remove(&frame.stream)),
                Command::Syn | Command::Nop => {}
            }
        }
    }
}

async fn send(stream: u32, command: Command, input: &Input) -> bool {
    let mut out = BytesMut::new();
    Frame { stream, command }.emit(&mut out);
    input.send((PayloadType::Output, out.freeze())).await.is_ok()
}

/// One stream's connection, until either side is done with it: there is no half close.
async fn connect(
    stream: u32,
    mut connection: TcpStream,
    mut data: mpsc::Receiver<Bytes>,
    input: &Input,
) {
    let _ = connection.set_nodelay(true);
    let (mut from, mut to) = connection.split();
    let read = async {
        if !send(stream, Command::Syn, input).await {
            return;
        }
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let push = Command::Push(Bytes::copy_from_slice(&buffer[..length]));
            if !send(stream, push, input).await {
                return;
            }
        }
    };
    let write = async {
        while let Some(bytes) = data.recv().await {
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    send(stream, Command::Fin, input).await;
}
