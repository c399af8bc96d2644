//! Session Manager without instances: the real gateway, the real agent, a client that speaks as AWS's
//! plugin does, all on the loopback address. What needs an instance is in `session_hosts`.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use gureum_e2e::plugin::{FLAG, Faults, OUTPUT, Plugin, frame, smux, smux_stream};
use gureum_guest::{
    agent,
    surroundings::{Credentials, Given, Network, Surroundings},
};
use gureum_services::session::{MessageGateway, Timing};
use gureum_session::message::{SessionContent, SessionDocument, StartSession};
use gureum_types::{
    InstanceId,
    session::{GatewayEvent, SessionId, SessionLimits},
};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Child,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

const INSTANCE: &str = "i-0123456789abcdef0";
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway with one agent.
struct World {
    gateway: MessageGateway,
    address: SocketAddr,
    events: mpsc::Receiver<GatewayEvent>,
    sessions: u32,
}

impl World {
    async fn open() -> Self {
        Self::with(Timing::default()).await
    }

    async fn with(timing: Timing) -> Self {
        let (tell, events) = mpsc::channel(1024);
        let gateway = MessageGateway::new(tell, timing);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answering = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = answering.clone();
                stream.set_nodelay(true).expect("TCP_NODELAY");
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let gateway = gateway.clone();
                        async move {
                            let answer = gateway
                                .answer(request.map(Body::new), Some(&Self::instance()))
                                .await;
                            Ok::<_, Infallible>(answer)
                        }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades();
                    let _ = connection.await;
                });
            }
        });
        let given = Given {
            instance: INSTANCE.to_owned(),
            region: "ap-northeast-2".to_owned(),
            credentials: Credentials {
                access_key_id: "ASIAEXAMPLE".to_owned(),
                secret_access_key: "secret".to_owned(),
                token: Some("token".to_owned()),
            },
        };
        // Registration is another service's; the test says its one word.
        let front = Self::register_at(address).await;
        tokio::spawn(agent::run(Surroundings::given(Network::Plain(front), given)));
        let mut world = Self { gateway, address, events, sessions: 0 };
        world.event(|event| matches!(event, GatewayEvent::AgentConnected(_))).await;
        world
    }

    /// A door that answers registration by itself and leads everything else to the gateway.
    async fn register_at(gateway: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.set_nodelay(true).expect("TCP_NODELAY");
                tokio::spawn(async move {
                    let mut first = [0; 7];
                    if client.peek(&mut first).await.is_ok() && &first == b"POST / " {
                        let mut request = vec![0; 16 << 10];
                        let length = client.read(&mut request).await.unwrap_or_default();
                        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                        assert!(request.contains("amazonssm.updateinstanceinformation"));
                        assert!(request.contains("x-amz-security-token: token"));
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                        let _ = client.write_all(answer).await;
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(gateway).await else { return };
                    server.set_nodelay(true).expect("TCP_NODELAY");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        address
    }

    async fn event(&mut self, wanted: impl Fn(&GatewayEvent) -> bool) -> GatewayEvent {
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("an event");
                if wanted(&event) {
                    return event;
                }
            }
        });
        found.await.expect("an event in time")
    }

    fn instance() -> InstanceId {
        INSTANCE.parse().expect("an id")
    }

    /// Begins a session; its id and the client's token.
    fn start(&mut self, session_type: &str, properties: Value) -> (SessionId, String) {
        self.start_with(session_type, properties, SessionLimits::default())
    }

    fn start_with(
        &mut self,
        session_type: &str,
        properties: Value,
        limits: SessionLimits,
    ) -> (SessionId, String) {
        self.sessions += 1;
        let id = SessionId::parse(&format!("tester-{:017x}", self.sessions)).expect("an id");
        let content = SessionContent {
            session_id: id.to_string(),
            document_content: SessionDocument {
                schema_version: "1.0".to_owned(),
                session_type: session_type.to_owned(),
                properties,
                ..SessionDocument::default()
            },
            ..SessionContent::default()
        };
        let start = StartSession {
            content: serde_json::to_string(&content).expect("JSON"),
            task_id: id.to_string(),
            topic: "aws.ssm.startSession".to_owned(),
            schema_version: 1,
        };
        let token = self.gateway.start(&id, &Self::instance(), &start, limits);
        (id, token.expect("connected"))
    }

    fn url(&self, id: &SessionId) -> String {
        format!("ws://{}/v1/data-channel/{id}?role=publish_subscribe", self.address)
    }

    /// A session that carries one connection's bytes as they are, as an SSH session does.
    async fn raw(&mut self, port: u16) -> (SessionId, Plugin) {
        let (id, token) = self.start("Port", json!({"portNumber": port.to_string()}));
        let plugin = Plugin::open(&self.url(&id), &token).await;
        (id, plugin)
    }

    /// A session of a forwarded port.
    async fn forwarded(&mut self, port: u16) -> (SessionId, Plugin) {
        let properties = json!({
            "portNumber": port.to_string(), "type": "LocalPortForwarding", "localPortNumber": "0",
        });
        let (id, token) = self.start("Port", properties);
        let plugin = Plugin::open(&self.url(&id), &token).await;
        (id, plugin)
    }
}

/// A server that sends back what it gets.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

/// Bytes that repeat themselves late.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(&mut next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

// SSM-9
#[tokio::test]
async fn a_session_carries_bytes_unchanged_over_a_bad_network() {
    let mut world = World::open().await;
    let (id, plugin) = world.raw(echo().await).await;
    let faults = Faults {
        lose_in: 10,
        lose_acknowledgement: 5,
        lose_out: 10,
        repeat_out: 10,
        delay_out: 10,
    };
    let mut plugin = plugin.with_faults(faults);
    let parameters = plugin.until_begun().await;
    assert_eq!(parameters["SessionType"], "Port");
    assert_eq!(parameters["Properties"]["portNumber"].as_str().map(str::is_empty), Some(false));
    let sent = noise(40_000, 1);
    for piece in sent.chunks(5_000) {
        plugin.send(OUTPUT, piece).await;
        plugin.step().await;
    }
    plugin.until("all is back", |it| it.output.len() >= sent.len()).await;
    assert!(plugin.output == sent, "what came back is not what was sent");
    world.gateway.terminate(&id);
    assert_eq!(plugin.until_closed().await, "");
    let ended = world.event(|event| matches!(event, GatewayEvent::SessionEnded { .. })).await;
    assert_eq!(ended, GatewayEvent::SessionEnded { session: id, reason: String::new() });
}

// SSM-9
#[tokio::test]
async fn a_client_whose_connection_is_cut_goes_on_where_it_was() {
    let mut world = World::open().await;
    let (id, mut plugin) = world.raw(echo().await).await;
    plugin.until_begun().await;
    let sent = noise(300_000, 2);
    let (first, second) = sent.split_at(150_000);
    plugin.send(OUTPUT, first).await;
    // Cut while output is on its way.
    plugin.until("something is back", |it| !it.output.is_empty()).await;
    for _ in 0..3 {
        let token = world.gateway.resume(&id).expect("a token");
        plugin = plugin.resume(&world.url(&id), &token).await;
        for _ in 0..20 {
            plugin.step().await;
        }
    }
    plugin.send(OUTPUT, second).await;
    plugin.until("all is back", |it| it.output.len() >= sent.len()).await;
    assert!(plugin.output == sent, "what came back is not what was sent");
}

#[tokio::test]
async fn a_token_is_good_once_for_one_session_and_a_wrong_one_hurts_nobody() {
    let mut world = World::open().await;
    let port = echo().await;
    let (id, token) = world.start("Port", json!({"portNumber": port.to_string()}));
    let (other, other_token) = world.start("Port", json!({"portNumber": port.to_string()}));
    let mut plugin = Plugin::open(&world.url(&id), &token).await;
    plugin.until_begun().await;
    for wrong in ["", "no token", &token, &other_token] {
        let mut refused = Plugin::open(&world.url(&id), wrong).await;
        let began = Instant::now();
        while !refused.gone {
            assert!(began.elapsed() < PATIENCE, "{wrong:?} is let in");
            refused.step().await;
        }
    }
    // The other session's token went with the try.
    assert!(world.gateway.resume(&other).is_some());
    plugin.type_in("still there").await;
    plugin.until_output("still there").await;
    let unheard = SessionId::parse("nobody-0").expect("an id");
    assert_eq!(world.gateway.resume(&unheard), None);
}

#[tokio::test]
async fn what_is_no_frame_ends_its_own_session_only() {
    let mut world = World::open().await;
    let port = echo().await;
    let (_, mut bystander) = world.raw(port).await;
    bystander.until_begun().await;
    let mut lying = frame("input_stream_data", 1, 0, 9, 1, b"hello");
    lying[119] = 200;
    let mut headless = frame("input_stream_data", 1, 0, 9, 1, b"hello");
    headless[3] = 120;
    let wrong = [
        Message::binary(b"short".to_vec()),
        Message::binary(vec![0xff; 4096]),
        Message::binary(lying),
        Message::binary(headless),
        Message::text("{}"),
    ];
    for message in wrong {
        let (_, mut plugin) = world.raw(port).await;
        plugin.until_begun().await;
        plugin.send_raw(message).await;
        let reason = plugin.until_closed().await;
        assert!(reason.contains("could not be read"), "{reason}");
    }
    // One that is too long breaks its connection; the session waits for its client as after any cut.
    let (id, mut plugin) = world.raw(port).await;
    plugin.until_begun().await;
    plugin.send_raw(Message::binary(vec![0; 1 << 20])).await;
    let began = Instant::now();
    while !plugin.gone {
        assert!(began.elapsed() < PATIENCE, "a megabyte is taken");
        plugin.step().await;
    }
    let token = world.gateway.resume(&id).expect("a token");
    let mut plugin = plugin.resume(&world.url(&id), &token).await;
    plugin.type_in("again").await;
    plugin.until_output("again").await;
    // Neither side may speak for the service.
    bystander.send_raw(Message::binary(frame("channel_closed", 0, 0, 7, 0, b"{}"))).await;
    bystander.type_in("unhurt").await;
    bystander.until_output("unhurt").await;
}

#[tokio::test]
async fn forwarded_ports_carry_many_connections() {
    let mut world = World::open().await;
    let (_, mut plugin) = world.forwarded(echo().await).await;
    plugin.until_begun().await;
    let streams: Vec<u32> = (0..8).map(|n| 3 + 2 * n).collect();
    let data: Vec<Vec<u8>> = streams.iter().map(|n| noise(20_000, u64::from(*n))).collect();
    for stream in &streams {
        plugin.send(OUTPUT, &smux(0, *stream, b"")).await;
    }
    for round in 0..4 {
        for (stream, data) in streams.iter().zip(&data) {
            plugin.send(OUTPUT, &smux(2, *stream, &data[round * 5_000..(round + 1) * 5_000])).await;
        }
    }
    for (stream, data) in streams.iter().zip(&data) {
        let wanted = data.clone();
        let stream = *stream;
        plugin
            .until("a stream is back", move |it| {
                smux_stream(&it.output, stream).0.len() >= wanted.len()
            })
            .await;
        assert!(smux_stream(&plugin.output, stream).0 == *data, "stream {stream}");
    }
    // A stream that ends is answered so, and the others go on.
    plugin.send(OUTPUT, &smux(1, 3, b"")).await;
    plugin.until("the end of a stream", |it| smux_stream(&it.output, 3).1).await;
    plugin.send(OUTPUT, &smux(2, 5, b"more")).await;
    plugin.until("more", |it| smux_stream(&it.output, 5).0.ends_with(b"more")).await;
}

#[tokio::test]
async fn a_refused_port_is_told_and_the_session_goes_on() {
    let mut world = World::open().await;
    // Nobody listens where somebody did a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let (_, mut plugin) = world.forwarded(port).await;
    plugin.until_begun().await;
    plugin.send(OUTPUT, &smux(0, 3, b"")).await;
    plugin.until("a flag", |it| it.others.contains(&(FLAG, vec![0, 0, 0, 3]))).await;
    plugin.until("the end of the stream", |it| smux_stream(&it.output, 3).1).await;
    // The client ends the session by a flag.
    plugin.send(FLAG, &[0, 0, 0, 2]).await;
    assert_eq!(plugin.until_closed().await, "");
}

#[tokio::test]
async fn a_session_that_cannot_be_is_ended_with_the_reason() {
    let mut world = World::open().await;
    for (properties, reason) in [
        (json!({"portNumber": "80", "host": "169.254.169.254"}), "is forbidden"),
        (json!({"portNumber": "eighty"}), "no number"),
    ] {
        let (id, token) = world.start("Port", properties);
        let ended = world.event(|event| matches!(event, GatewayEvent::SessionEnded { .. })).await;
        let GatewayEvent::SessionEnded { session, reason: said } = ended else { unreachable!() };
        assert_eq!(session, id);
        assert!(said.contains(reason), "{said}");
        drop(token);
    }
}

#[tokio::test]
async fn a_client_that_vanishes_and_one_that_never_comes_leave_nothing() {
    let timing = Timing {
        connect: Duration::from_secs(1),
        idle: Duration::from_secs(2),
        ..Timing::default()
    };
    let mut world = World::with(timing).await;
    let port = echo().await;
    let (never, _) = world.start("Port", json!({"portNumber": port.to_string()}));
    let (gone, mut plugin) = world.raw(port).await;
    plugin.until_begun().await;
    drop(plugin);
    for (session, why) in [(never, "did not connect"), (gone, "inactive")] {
        let ended = world.event(|event| matches!(event, GatewayEvent::SessionEnded { .. })).await;
        let GatewayEvent::SessionEnded { session: ended, reason } = ended else { unreachable!() };
        assert_eq!(ended, session);
        assert!(reason.contains(why), "{reason}");
        assert_eq!(world.gateway.resume(&session), None);
    }
}

// SSM-11
#[tokio::test]
async fn a_session_that_has_lasted_long_enough_is_ended_for_both_sides() {
    let mut world = World::open().await;
    let limits = SessionLimits { longest: Some(Duration::from_secs(1)), ..Default::default() };
    let properties = json!({"portNumber": echo().await.to_string()});
    let (id, token) = world.start_with("Port", properties, limits);
    let mut plugin = Plugin::open(&world.url(&id), &token).await;
    plugin.until_begun().await;
    assert_eq!(plugin.until_closed().await, "the session has lasted as long as it may");
    world.event(|event| matches!(event, GatewayEvent::SessionEnded { .. })).await;
    assert_eq!(world.gateway.resume(&id), None);
}

// SSM-9: whoever has been told that it is over is left in peace.
#[tokio::test]
async fn a_data_channel_that_has_been_written_to_its_end_is_left() {
    // How a session's task goes is seen by nobody but here.
    static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.lock().expect("no panic").push(panic.to_string());
        usual(panic);
    }));
    let mut world = World::open().await;
    let port = echo().await;
    let mut open = Vec::new();
    // Of several things that end a channel at once any may be seen first.
    for _ in 0..48 {
        let (id, mut plugin) = world.raw(port).await;
        plugin.until_begun().await;
        open.push((id, plugin));
    }
    for (id, _) in &open {
        assert!(world.gateway.terminate(id));
    }
    for (_, plugin) in &mut open {
        assert_eq!(plugin.until_closed().await, "");
        while !plugin.gone {
            plugin.step().await;
        }
    }
    let panics = PANICS.lock().expect("no panic").clone();
    assert!(panics.is_empty(), "{panics:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sessions_at_once_lose_no_byte() {
    let mut world = World::open().await;
    let port = echo().await;
    let mut clients = Vec::new();
    for number in 0..100 {
        let (_, mut plugin) = world.raw(port).await;
        clients.push(tokio::spawn(async move {
            plugin.until_begun().await;
            let sent = noise(50_000, number + 7);
            for piece in sent.chunks(10_000) {
                plugin.send(OUTPUT, piece).await;
                plugin.step().await;
            }
            plugin.until("all is back", |it| it.output.len() >= sent.len()).await;
            assert!(plugin.output == sent, "session {number}");
        }));
    }
    for client in clients {
        client.await.expect("no byte is lost");
    }
}

#[tokio::test]
async fn an_agent_that_lost_its_channel_comes_back_and_a_closed_door_says_so() {
    let mut world = World::open().await;
    assert!(world.gateway.is_connected(&World::instance()));
    let stranger: InstanceId = "i-0fedcba9876543210".parse().expect("an id");
    assert!(!world.gateway.is_connected(&stranger));
    let id = SessionId::parse("tester-none").expect("an id");
    let started = world.gateway.start(&id, &stranger, &json!({}), SessionLimits::default());
    assert!(started.is_err(), "SSM-8");
    // Another connection of the same instance takes the channel over; the agent takes it back.
    let url = format!("http://{}/v1/control-channel/{INSTANCE}", world.address);
    let token = post(&url).await;
    let url = format!("ws://{}/v1/control-channel/{INSTANCE}?role=subscribe", world.address);
    let usurper = Plugin::open(&url, &token).await;
    world.event(|event| matches!(event, GatewayEvent::AgentConnected(_))).await;
    world.event(|event| matches!(event, GatewayEvent::AgentConnected(_))).await;
    drop(usurper);
    sleep(Duration::from_millis(10)).await;
    assert!(world.gateway.is_connected(&World::instance()));
}

/// The token of a channel.
async fn post(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("http");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).await.expect("connected");
    let body = r#"{"MessageSchemaVersion":"1.0","RequestId":"r"}"#;
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let token = answer.split_once("<TokenValue>").expect("a token").1;
    token.split_once('<').expect("an end").0.to_owned()
}

/// Which program a client is.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// AWS's own plugin, which the person has to have.
    Real,
    /// Ours, under its name.
    Ours,
}

/// A client's program, run as the AWS CLI runs it.
fn program(program: Program, url: &str, id: &SessionId, token: &str) -> Child {
    let folder = tempfile::tempdir().expect("a folder");
    let path = match program {
        Program::Real => PathBuf::from("session-manager-plugin"),
        Program::Ours => {
            let path = folder.path().join("session-manager-plugin");
            std::os::unix::fs::symlink(gureum_e2e::gureum(), &path).expect("a link");
            path
        }
    };
    let response =
        json!({ "SessionId": id.to_string(), "TokenValue": token, "StreamUrl": url }).to_string();
    let parameters = json!({"Target": INSTANCE}).to_string();
    let child = tokio::process::Command::new(path)
        .args([&response, "ap-northeast-2", "StartSession", "", &parameters])
        .arg("http://127.0.0.1:9")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .spawn();
    child.unwrap_or_else(|error| panic!("session-manager-plugin ({program:?}): {error}"))
}

/// Reads until a text has come; all that was read.
async fn read_until(from: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut read = Vec::new();
    let found = timeout(PATIENCE, async {
        let mut buffer = [0; 4096];
        loop {
            let length = from.read(&mut buffer).await.expect("output");
            assert_ne!(length, 0, "the end before {text:?}: {:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..length]);
            if String::from_utf8_lossy(&read).contains(text) {
                return;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("no {text:?} in time"));
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AWS's session-manager-plugin on the PATH"]
async fn the_real_plugin_forwards_a_port() {
    forwards_a_port(Program::Real).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_plugin_forwards_a_port() {
    forwards_a_port(Program::Ours).await;
}

async fn forwards_a_port(which: Program) {
    let mut world = World::open().await;
    let properties = json!({
        "portNumber": echo().await.to_string(), "type": "LocalPortForwarding",
        "localPortNumber": "0",
    });
    let (id, token) = world.start("Port", properties);
    let mut plugin = program(which, &world.url(&id), &id, &token);
    let mut output = plugin.stdout.take().expect("piped");
    let told = read_until(&mut output, "Waiting for connections").await;
    let port = told.split("Port ").nth(1).and_then(|rest| rest.split(' ').next());
    let port: u16 = port.expect("a port").parse().expect("a number");
    let mut clients = Vec::new();
    for number in 0..4 {
        clients.push(tokio::spawn(async move {
            let stream = TcpStream::connect(("localhost", port)).await.expect("connected");
            let (mut from, mut to) = stream.into_split();
            let sent = noise(1 << 20, number + 1);
            let expected = sent.clone();
            let sending = tokio::spawn(async move {
                to.write_all(&sent).await.expect("sent");
                to
            });
            let mut back = vec![0; expected.len()];
            let read = timeout(PATIENCE, from.read_exact(&mut back)).await;
            read.expect("in time").expect("all of it");
            assert!(back == expected, "connection {number}");
            drop(sending.await);
        }));
    }
    for client in clients {
        client.await.expect("unchanged");
    }
    world.gateway.terminate(&id);
    read_until(&mut output, "Exiting session with sessionId").await;
    let status = timeout(PATIENCE, plugin.wait()).await.expect("in time").expect("a status");
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AWS's session-manager-plugin on the PATH"]
async fn the_real_plugin_carries_ssh() {
    carries_ssh(Program::Real).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_plugin_carries_ssh() {
    carries_ssh(Program::Ours).await;
}

async fn carries_ssh(which: Program) {
    let mut world = World::open().await;
    let port = echo().await;
    let (id, token) = world.start("Port", json!({"portNumber": port.to_string()}));
    let mut plugin = program(which, &world.url(&id), &id, &token);
    let (mut output, mut input) =
        (plugin.stdout.take().expect("piped"), plugin.stdin.take().expect("piped"));
    read_until(&mut output, "Starting session with SessionId").await;
    for line in ["SSH-2.0-one", "and two", "and three"] {
        input.write_all(format!("{line}\r\n").as_bytes()).await.expect("typed");
        read_until(&mut output, line).await;
    }
    world.gateway.terminate(&id);
    read_until(&mut output, "Exiting session").await;
    timeout(PATIENCE, plugin.wait()).await.expect("in time").expect("a status");
}

/// A door before the gateway that can be shut on everybody. It answers ResumeSession, whose service is
/// another one.
struct Door {
    address: SocketAddr,
    passing: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Door {
    async fn before(world: &World, id: &SessionId) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let passing: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let (kept, gateway) = (Arc::clone(&passing), world.gateway.clone());
        let (behind, id) = (world.address, id.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (gateway, id) = (gateway.clone(), id.clone());
                let passes = tokio::spawn(async move {
                    let mut first = [0; 7];
                    if client.peek(&mut first).await.is_ok() && &first == b"POST / " {
                        let mut request = vec![0; 16 << 10];
                        let length = client.read(&mut request).await.unwrap_or_default();
                        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                        assert!(request.contains("amazonssm.resumesession"), "{request}");
                        let resumed = json!({
                            "SessionId": id.to_string(), "TokenValue": gateway.resume(&id),
                            "StreamUrl": format!("ws://{address}/v1/data-channel/{id}?role=x"),
                        });
                        let body = resumed.to_string();
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        let _ = client.write_all((head + &body).as_bytes()).await;
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(behind).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                kept.lock().expect("no panic").push(passes);
            }
        });
        Self { address, passing }
    }

    /// Cuts every connection that goes through.
    fn cut(&self) {
        self.passing.lock().expect("no panic").drain(..).for_each(|passing| passing.abort());
    }
}

// SSM-9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_plugin_goes_on_after_its_connection_is_cut() {
    let mut world = World::open().await;
    let (id, token) = world.start("Port", json!({"portNumber": echo().await.to_string()}));
    let door = Door::before(&world, &id).await;
    let url = format!("ws://{}/v1/data-channel/{id}?role=publish_subscribe", door.address);
    let mut plugin = program(Program::Ours, &url, &id, &token);
    let (mut output, mut input) =
        (plugin.stdout.take().expect("piped"), plugin.stdin.take().expect("piped"));
    read_until(&mut output, &format!("Starting session with SessionId: {id}\n")).await;
    let sent = noise(600_000, 5);
    let (last, mut back) = (2, Vec::new());
    for (number, part) in sent.chunks(200_000).enumerate() {
        let wanted = back.len() + part.len() / 2;
        input.write_all(part).await.expect("sent");
        let mut buffer = [0; 4096];
        while back.len() < wanted {
            let read = timeout(PATIENCE, output.read(&mut buffer)).await.expect("in time");
            back.extend_from_slice(&buffer[..read.expect("output")]);
        }
        // All that was sent may be on this side of the door: then it would not be missed.
        if number < last {
            door.cut();
        }
    }
    let mut rest = vec![0; sent.len() - back.len()];
    let read = timeout(PATIENCE, output.read_exact(&mut rest)).await;
    read.expect("in time").expect("all of it");
    back.extend(rest);
    assert!(back == sent, "what came back is not what was sent");
    // A session that is over meanwhile is not resumed.
    world.gateway.terminate(&id);
    read_until(&mut output, "Exiting session").await;
    timeout(PATIENCE, plugin.wait()).await.expect("in time").expect("a status");
}
