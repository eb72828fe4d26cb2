use horde_process::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(answer = String, crate = "horde_process")]
struct Unknown;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "", crate = "horde_process")]
struct Empty;

fn main() {}
