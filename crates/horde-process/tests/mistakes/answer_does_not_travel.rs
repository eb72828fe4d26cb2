#![allow(unused_imports, unused_variables, dead_code)]
use horde_process::{Context, Handle, Message, Node, Process, Ref, Reply, Serve, Stop};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String, crate = "horde_process")]
struct Greet;

struct Answer;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = Answer, crate = "horde_process")]
struct Ask;

struct Greeter;

impl Process for Greeter {
    const KIND: &'static str = "greeter";
    type Args = ();
    type Deps = ();
    type Messages = (Greet,);

    async fn init(_: (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Greeter)
    }
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, _: Greet, cx: &mut Context<Self>) -> String {
        String::new()
    }
}

fn main() {}
