#![allow(unused_imports, unused_variables, dead_code)]
use horde_process::{Context, Handle, Message, Process, Ref, Reply, Stop};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String, crate = "horde_process")]
struct Greet;

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Reset;

struct Greeter;


impl Process for Greeter {
    const KIND: &'static str = "greeter";
    type Args = ();
    type Deps = ();
    type Messages = (Greet,);

    async fn init(_: (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.every(std::time::Duration::from_secs(1), Self::flush);
        Ok(Greeter)
    }
}

impl Greeter {
    fn flush(&mut self, _: &mut Context<Self>) {}
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, _: Greet, _: &mut Context<Self>) -> String {
        String::new()
    }
}

fn main() {}

