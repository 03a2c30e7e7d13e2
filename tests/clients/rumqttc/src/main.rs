//! rumqttc against the broker, in versions 3.1.1 and 5. Started by ../run.py, which says where the
//! broker is.
//!
//! Prints `ok TITLE` or `FAIL TITLE :: PROBLEM` for each case, then `end`. Knows nothing of
//! Martlet.

mod both;
mod client;
mod five;

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// For whatever must happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// What went wrong, in words.
type Outcome<T = ()> = Result<T, String>;

/// A case's own names and the broker's address.
#[derive(Clone)]
struct Context {
    host: String,
    port: u16,
    run: String,
    number: usize,
    burst: usize,
}

impl Context {
    fn topic(&self, name: &str) -> String {
        format!("rumqttc/{}/{}/{name}", self.run, self.number)
    }

    fn id(&self, name: &str) -> String {
        format!("{}r{}{name}", self.run, self.number)
    }
}

fn same<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    let short = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    Err(format!("{what}: expected {}, got {}", short(&expected), short(&got)))
}

fn check(condition: bool, text: &str) -> Outcome {
    if condition { Ok(()) } else { Err(text.to_owned()) }
}

/// Runs cases and prints their results.
struct Runner {
    context: Context,
    only: String,
}

impl Runner {
    async fn case<F, R>(&mut self, title: &str, body: F)
    where
        F: FnOnce(Context) -> R,
        R: Future<Output = Outcome>,
    {
        if !format!("rumqttc: {title}").contains(&self.only) {
            return;
        }
        self.context.number += 1;
        match body(self.context.clone()).await {
            Ok(()) => println!("ok {title}"),
            Err(problem) => println!("FAIL {title} :: {}", problem.replace('\n', " ")),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable =
        |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let number = |name: &str, default: &str| variable(name, default).parse().expect("a number");
    let context = Context {
        host: variable("MQTT_HOST", "127.0.0.1"),
        port: number("MQTT_PORT", "1883") as u16,
        run: variable("MQTT_RUN", "run"),
        number: 0,
        burst: number("MQTT_BURST", "10000"),
    };
    let mut runner = Runner { context, only: variable("MQTT_ONLY", "") };
    both::v311::run(&mut runner).await;
    both::v5::run(&mut runner).await;
    five::run(&mut runner).await;
    println!("end");
}
