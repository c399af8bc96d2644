//! A program in a terminal, typed into as a person does.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// How long a program may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program and the terminal that it runs in.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    near: File,
    shown: mpsc::Receiver<Vec<u8>>,
    /// All that it has shown and nobody has waited for yet.
    rest: String,
}

impl Terminal {
    /// Starts a command in a terminal of 80 columns and 24 rows that it controls.
    ///
    /// # Panics
    /// Where there is no terminal, or no `setsid`.
    pub fn start(command: &Command) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&near).expect("granted");
        unlockpt(&near).expect("unlocked");
        let name = ptsname(&near, Vec::new()).expect("a name");
        let far = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let far = File::from(far.expect("its other end"));
        let near = File::from(near);
        let end = || far.try_clone().expect("a descriptor");
        let mut inner = Command::new("setsid");
        inner.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inner.env(name, value),
                None => inner.env_remove(name),
            };
        }
        inner.stdin(end()).stdout(end()).stderr(end());
        let mut terminal = Self {
            child: inner.spawn().expect("it starts"),
            near: near.try_clone().expect("a descriptor"),
            shown: reader(near),
            rest: String::new(),
        };
        terminal.resize(80, 24);
        terminal
    }

    /// Makes the window another size.
    ///
    /// # Panics
    /// Where the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.near, size).expect("resized");
    }

    /// Types.
    ///
    /// # Panics
    /// Where the terminal is gone.
    pub fn type_in(&mut self, keys: &str) {
        self.near.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until it shows a text; what it showed before that.
    ///
    /// # Panics
    /// Where it does not within a minute.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, after)) = self.rest.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.rest = after;
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = self.shown.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|error| {
                panic!("{error}: no {text:?}, but {:?}", self.rest);
            });
            self.rest.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Waits until the program has ended; its exit status.
    ///
    /// # Panics
    /// Where it does not end within a minute.
    #[track_caller]
    pub fn status(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.rest);
            // What it still writes must not hold it up.
            if let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(20)) {
                self.rest.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reader(mut near: File) -> mpsc::Receiver<Vec<u8>> {
    let (tell, shown) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = near.read(&mut buffer) {
            if tell.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    shown
}
