#![allow(unused_imports, unused_variables, dead_code)]
use horde_process::{Context, Handle, Message, Node, Process, Ref, Reply, Serve, Stop};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String, crate = "horde_process")]
struct Greet;

struct Greeter;

impl Process for Greeter {
    const KIND: &'static str = "greeter";
    type Args = ();
    type Deps = ();
    type Messages = (Greet,);
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, _: Greet, cx: &mut Context<Self>) -> String {
        String::new()
    }
}

fn main() {}
