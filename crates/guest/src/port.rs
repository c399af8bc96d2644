//! Ports of sessions: one connection as it is, or many inside one stream (smux).

use std::{collections::HashMap, io, net::IpAddr, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use gureum_session::{
    frame::{Flag, PayloadType},
    smux::{Command, Decoder, Frame},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::{
    network::dial,
    session::{Ends, Input, Output},
};

/// How much is read from a connection at once. AWS's agent sends 1,024 bytes a message; its client
/// takes any number.
const CHUNK: usize = 32 << 10;
/// The messages that wait for one connection of a stream of many.
const QUEUE: usize = 32;
/// How long the rest of a connection's data may take to get out after its end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Where a session leads.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Destination {
    /// AWS's agent connects to the services of the link for nobody who names a host.
    pub(crate) fn is_forbidden(&self) -> bool {
        let Ok(address) = self.host.parse::<IpAddr>() else { return false };
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                (a, b, c) == (169, 254, 169) && [123, 250, 251, 253, 254].contains(&d)
            }
            IpAddr::V6(address) => address.segments()[..3] == [0xfd00, 0xec2, 0],
        }
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        dial(&self.host, self.port).await
    }
}

/// One connection at a time, its bytes as they are. With `again` there is a next one after it, at the
/// next data; without, the session ends with it. Why it came to nothing, if it did.
pub(crate) async fn single(
    destination: Destination,
    again: bool,
    ends: Ends,
) -> Result<(), String> {
    let Ends { mut input, output } = ends;
    let failed = |error: io::Error| format!("Unable to connect to specified port: {error}");
    let mut connection = Some(destination.dial().await.map_err(failed)?);
    let mut buffer = BytesMut::new();
    loop {
        let Some(stream) = &mut connection else {
            match input.recv().await {
                None => return Ok(()),
                Some(Input::Data(bytes)) => {
                    let mut stream = destination.dial().await.map_err(failed)?;
                    if stream.write_all(&bytes).await.is_ok() {
                        connection = Some(stream);
                    }
                }
                Some(_) => {}
            }
            continue;
        };
        buffer.reserve(CHUNK);
        let (mut from, mut to) = stream.split();
        let goes_on = tokio::select! {
            read = from.read_buf(&mut buffer) => match read {
                Ok(1..) => {
                    let bytes = buffer.split().freeze();
                    let sent = output.send((PayloadType::Output, bytes)).await;
                    if sent.is_err() {
                        return Ok(());
                    }
                    true
                }
                _ => false,
            },
            input = input.recv() => match input {
                None => return Ok(()),
                Some(Input::Data(bytes)) => to.write_all(&bytes).await.is_ok(),
                Some(Input::Flag(Flag::DisconnectToPort)) => false,
                Some(_) => true,
            },
        };
        if !goes_on {
            if !again {
                return Ok(());
            }
            connection = None;
        }
    }
}

/// Many connections inside one stream. Why it came to nothing, if it did.
pub(crate) async fn many(destination: Destination, ends: Ends) -> Result<(), String> {
    let Ends { mut input, output } = ends;
    let mut decoder = Decoder::default();
    let mut streams: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    let (over, mut gone) = mpsc::channel(QUEUE);
    loop {
        let bytes = tokio::select! {
            input = input.recv() => match input {
                None => return Ok(()),
                Some(Input::Data(bytes)) => bytes,
                Some(_) => continue,
            },
            Some(stream) = gone.recv() => {
                streams.remove(&stream);
                continue;
            }
        };
        decoder.push(&bytes);
        while let Some(Frame { stream, command }) =
            decoder.next_frame().map_err(|error| error.to_string())?
        {
            match command {
                Command::Syn => {
                    let (queue, data) = mpsc::channel(QUEUE);
                    // A number that is used again is another stream.
                    streams.insert(stream, queue);
                    let (destination, output) = (destination.clone(), output.clone());
                    let over = over.clone();
                    tokio::spawn(async move {
                        connect(stream, &destination, data, &output).await;
                        let fin = Frame { stream, command: Command::Fin };
                        let _ = output.send((PayloadType::Output, emitted(&fin))).await;
                        let _ = over.send(stream).await;
                    });
                }
                Command::Push(data) => {
                    // One that has ended takes no more. One that is slow makes all of them wait, as
                    // there is no window for each.
                    let queue = streams.get(&stream).cloned();
                    if let Some(queue) = queue {
                        tokio::select! {
                            _ = queue.send(data) => {}
                            // A connection may end while data waits for it.
                            () = queue.closed() => {}
                        }
                    }
                }
                Command::Fin => {
                    streams.remove(&stream);
                }
                Command::Nop => {}
            }
        }
    }
}

fn emitted(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.emit(&mut out);
    out.freeze()
}

/// One stream's connection, until either side is done with it: there is no half close.
async fn connect(
    stream: u32,
    destination: &Destination,
    mut data: mpsc::Receiver<Bytes>,
    output: &mpsc::Sender<Output>,
) {
    let mut connection = match destination.dial().await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::info!(host = destination.host, port = destination.port, %error, "no connection");
            let flag = Bytes::copy_from_slice(&Flag::ConnectToPortError.payload());
            let _ = output.send((PayloadType::Flag, flag)).await;
            return;
        }
    };
    let (mut from, mut to) = connection.split();
    let read = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK);
            match from.read_buf(&mut (&mut buffer).limit(CHUNK)).await {
                Ok(1..) => {}
                _ => return,
            }
            let command = Command::Push(buffer.split().freeze());
            let frame = emitted(&Frame { stream, command });
            if output.send((PayloadType::Output, frame)).await.is_err() {
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
        let _ = timeout(LAST_WORDS, to.shutdown()).await;
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_link_are_forbidden() {
        let forbidden = |host: &str| Destination { host: host.into(), port: 80 }.is_forbidden();
        assert!(forbidden("169.254.169.254") && forbidden("fd00:ec2::254"));
        assert!(!forbidden("169.254.169.1") && !forbidden("10.0.0.2") && !forbidden("db"));
    }
}
