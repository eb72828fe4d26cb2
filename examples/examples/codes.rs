//! One code generator in the cluster, whichever node asks first; its store is injected on each node.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(clippy::unwrap_used, reason = "a lock of an example is never poisoned")]
use horde::{ChildSpec, Context, Handle, Message, Network, Node, Process, Stop, Supervisor};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Store(Arc<Mutex<u64>>);
impl Store {
    async fn load(&self) -> std::io::Result<u64> {
        Ok(*self.0.lock().unwrap())
    }
    async fn save(&self, next: u64) -> std::io::Result<()> {
        *self.0.lock().unwrap() = next;
        Ok(())
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String)]
struct NextCode;

struct Codes {
    prefix: String,
    next: u64,
}

impl Process for Codes {
    const KIND: &'static str = "codes";
    type Args = String;
    type Deps = Store;
    type Messages = (NextCode,);

    async fn init(prefix: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let next = cx.deps().load().await?;
        Ok(Codes { prefix, next })
    }
}

impl Handle<NextCode> for Codes {
    async fn handle(&mut self, _: NextCode, cx: &mut Context<Self>) -> String {
        self.next += 1;
        if let Err(error) = cx.deps().save(self.next).await {
            cx.stop(horde::ExitReason::error(error));
        }
        format!("{}-{:04}", self.prefix, self.next)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (network, store) = (Network::in_memory(), Store::default());
    for id in ["one", "two"] {
        let node = Node::builder(id).network(&network).runs::<Codes>(store.clone()).start().await?;
        let singletons = Supervisor::builder("singletons").start(&node).await?;
        let codes = singletons.find_or_start(ChildSpec::<Codes>::of("C".into()).id("codes")).await?;
        println!("{id}: {} {}", codes.call(NextCode).await?, codes.call(NextCode).await?);
        assert_eq!(singletons.count_children(), 1);
    }
    Ok(())
}
