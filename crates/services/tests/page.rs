//! The page that the lab clones from the simulated internet, run by PHP against the metadata
//! service.

mod common;

use std::{path::Path, sync::Arc};

use common::*;
use gureum_services::{
    ca::Ca,
    caller::Allowance,
    imds::{self, Imds},
};
use gureum_types::{InstanceId, PortIndex};
use tokio::net::TcpListener;

/// What the page says on the instance behind a port.
async fn page(port: u32, options: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let server = listener.local_addr().expect("an address");
    let imds = Imds::new(
        view(lab()),
        Arc::new(move |_| Some(PortIndex(port))),
        Arc::new(Allowance::default()),
        Arc::new(Ca::open(directory.path()).expect("an authority")),
        [7; 32],
    );
    tokio::spawn(imds::serve(listener, Arc::new(imds)));
    // The page as it is, but for the address: the real one needs an instance around it.
    let source =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../internet/git/whchoi98/ec2meta-webpage");
    for name in ["index.php", "metadata.php"] {
        let text = std::fs::read_to_string(Path::new(source).join(name)).expect("a file");
        let text = text.replace("'http://169.254.169.254/", &format!("'http://{server}/"));
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    let output = tokio::process::Command::new("php")
        .current_dir(directory.path())
        .args(["-d", "display_errors=1", "-d", "error_reporting=-1"])
        .args(options)
        .arg("index.php")
        .output()
        .await
        .expect("php runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn the_page_shows_what_the_instance_is() {
    if !on_path("php") {
        return;
    }
    // Without the configuration's extensions (-n), curl among them, it works as well.
    for options in [&[] as &[&str], &["-n"]] {
        let page = page(PUBLIC_01, options).await;
        let id = InstanceId::new(1).to_string();
        for shown in [
            id.as_str(),
            "<td>10.1.1.5</td>",
            "<td>198.18.0.5</td>",
            "<td>ap-northeast-2a</td>",
            "ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com",
        ] {
            assert!(page.contains(shown), "{shown} is not in {page}");
        }
        assert!(!page.contains("Warning") && !page.contains("Deprecated"), "{page}");
    }
}

#[tokio::test]
async fn the_page_gets_a_token_where_one_is_required() {
    if !on_path("php") {
        return;
    }
    let page = page(PRIVATE_01, &[]).await;
    assert!(page.contains(InstanceId::new(2).as_str()), "{page}");
    assert!(page.contains("<th scope=\"row\">Public address</th><td>&ndash;</td>"), "{page}");
}

#[tokio::test]
async fn the_page_says_when_nothing_answers() {
    if !on_path("php") {
        return;
    }
    let page = page(NO_SUPPORT, &[]).await;
    assert!(page.contains("gives no answer"), "{page}");
}
