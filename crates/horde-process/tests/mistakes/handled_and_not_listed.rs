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
    type Messages = (Greet, Reset);

    async fn init(_: (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        
        Ok(Greeter)
    }
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, _: Greet, _: &mut Context<Self>) -> String {
        String::new()
    }
}

impl Handle<Reset> for Greeter {
    async fn handle(&mut self, _: Reset, _: &mut Context<Self>) {}
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Other;

impl Handle<Other> for Greeter {
    async fn handle(&mut self, _: Other, _: &mut Context<Self>) {}
}

async fn use_it(greeter: Ref<Greeter>) {
    let _ = greeter.call(Other).await;
}

fn main() {}
