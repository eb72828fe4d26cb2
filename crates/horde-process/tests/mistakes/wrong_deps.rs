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
    type Deps = String;
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

async fn use_it() {
    let id = horde_transport::NodeId::new(horde_transport::NodeName::new("one").unwrap(), 1);
    let _ = Node::builder(id).runs::<Greeter>(7);
}

fn main() {}
