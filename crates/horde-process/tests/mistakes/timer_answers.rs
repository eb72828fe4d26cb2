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

    async fn init(_: (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.after(std::time::Duration::from_secs(1), Self::count);
        Ok(Greeter)
    }
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, _: Greet, cx: &mut Context<Self>) -> String {
        String::new()
    }
}

impl Greeter {
    async fn count(&mut self, _: &mut Context<Self>) -> u32 {
        1
    }
}

fn main() {}
