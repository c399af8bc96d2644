//! Sessions of Session Manager: to the first prompt, out of a forwarded port, a hundred at once. Of
//! prompts and shells the client is the tests' own, in this process.

use std::{
    io::Read as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use gureum_e2e::{
    Cloud, Done, Host, Program, Stage, free_port,
    managed::{launch, make_role, pour, session},
    wait,
};
use serde_json::json;

use crate::report::{Report, Target, median};

const PROMPTS: usize = 9;
const TURNS: usize = 3;
/// What is fetched out of a forwarded port a turn, in bytes.
const POURED: usize = 512 << 20;
const PORT: u16 = 9999;
const SHELLS: u32 = 100;

/// Measures on an instance of its own.
pub(crate) fn measure(stage: &mut Stage<'_>, report: &mut Report) {
    let cloud = stage.cloud;
    make_role(cloud);
    let host = launch(stage, "bench-managed");
    let client = format!("{}/32", stage.client);
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", PORT.into(), &client);
    pour(cloud, &host.id, PORT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let times: Vec<_> = (0..PROMPTS).map(|_| runtime.block_on(prompt(cloud, &host))).collect();
    report.add_median("StartSession to the first prompt", &times, 500.0);
    let (mut forwarded, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let plain = plain_tcp(cloud, &host);
        let speed = forward(cloud, &host);
        forwarded.push(speed);
        ratios.push(speed / plain);
    }
    report.add("forwarded port, one stream", median(&forwarded), "MB/s", Target::AtLeast(100.0));
    let name = "forwarded port, of TCP from the same instance";
    report.add(name, median(&ratios), "ratio", Target::Measured);
    let (took, lost) = runtime.block_on(many(cloud, &host));
    report.add("100 shells at once", took.as_secs_f64(), "s", Target::Measured);
    report.add("sessions of these that lost a byte", f64::from(lost), "", Target::AtMost(0.0));
    stage.ec2.call("TerminateInstances", &[("InstanceId.1", &host.id)]);
}

async fn prompt(cloud: &Cloud, host: &Host) -> Duration {
    let began = Instant::now();
    let (_, mut client) = session(cloud, &json!({"Target": host.id})).await;
    client.until_output("$ ").await;
    let took = began.elapsed();
    client.type_in("exit\r").await;
    client.until_closed().await;
    took
}

/// MB/s out of a port that `gureum session` forwards.
fn forward(cloud: &Cloud, host: &Host) -> f64 {
    let local = free_port();
    let mut command = cloud.command("session");
    command.args([host.id.as_str(), "-L", &format!("{local}:{PORT}")]);
    let _session = Program::start(&mut command);
    let mut stream = None;
    wait("the port is open", Duration::from_secs(30), || {
        stream = TcpStream::connect(("127.0.0.1", local)).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("connected");
    let mut buffer = vec![0; 1 << 20];
    let mut read = || stream.read(&mut buffer).expect("more to come");
    read();
    let (began, mut got) = (Instant::now(), 0);
    while got < POURED {
        let more = read();
        assert!(more > 0, "the port was closed after {got} bytes");
        got += more;
    }
    got as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// MB/s of TCP from the instance to the simulated internet, the way that packets take without a
/// session.
fn plain_tcp(cloud: &Cloud, host: &Host) -> f64 {
    let script = format!(
        "import socket, time\n\
         s = socket.create_connection(('{}', {PORT}))\n\
         b = bytearray(1 << 20)\nn = 0\ns.recv_into(b)\nt = time.time()\n\
         while n < {POURED}: n += s.recv_into(b)\n\
         print(n / 1e6 / (time.time() - t))",
        host.public
    );
    let mut command = cloud.command("internet");
    command.args(["--", "python3", "-c", &script]);
    Done::run(&mut command).ok().trim().parse().expect("a number")
}

/// How long a hundred shells take from the first to the last, and how many lost something.
async fn many(cloud: &Cloud, host: &Host) -> (Duration, u32) {
    let began = Instant::now();
    let mut clients = Vec::new();
    for number in 0..SHELLS {
        let (_, mut client) = session(cloud, &json!({"Target": host.id})).await;
        clients.push(tokio::spawn(async move {
            client.until_output("$ ").await;
            client.type_in(&format!("echo $(({number}*7))end; seq 1 2000; exit\r")).await;
            client.until("the session is over", |it| it.closed.is_some()).await;
            let told = String::from_utf8_lossy(&client.output).into_owned();
            let lines: String = (1..=2000).map(|n| format!("{n}\r\n")).collect();
            told.contains(&format!("\n{}end\r\n{lines}", number * 7))
        }));
    }
    let mut lost = 0;
    for client in clients {
        lost += u32::from(!client.await.unwrap_or_default());
    }
    (began.elapsed(), lost)
}
