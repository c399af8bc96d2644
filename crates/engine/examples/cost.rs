//! What packets, changes and flows cost: `cargo run --release -p gureum-engine --example cost`,
//! with `packet`, `change` or `flows` behind `--` for one of them.

use gureum_engine::testing::cost::{Figure, change, flows, packet};

type Part = (&'static str, fn() -> Vec<Figure>);
const PARTS: [Part; 3] = [("flows", flows), ("change", change), ("packet", packet)];

fn main() {
    let wanted = std::env::args().nth(1);
    for (name, part) in PARTS {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        for Figure { name, value, unit, limit } in part() {
            let limit = limit.map_or(String::new(), |limit| {
                format!("<= {limit}{}", if value <= limit { "" } else { "  MISSED" })
            });
            println!("{name:<58} {value:>10.3} {unit:<6} {limit}");
        }
    }
}
