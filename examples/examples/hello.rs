//! Three greeters, each found by name, wherever it runs.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
use horde::{ChildSpec, Context, Handle, Message, Network, Node, Process, Registry, Stop, Supervisor};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String)]
struct Greet {
    from: String,
}

struct Greeter {
    name: String,
    greeted: u64,
}

impl Process for Greeter {
    const KIND: &'static str = "greeter";
    type Args = String;
    type Deps = ();
    type Messages = (Greet,);

    async fn init(name: String, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Greeter { name, greeted: 0 })
    }
}

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, greet: Greet, cx: &mut Context<Self>) -> String {
        self.greeted += 1;
        format!("hello {}, I am {} on {}", greet.from, self.name, cx.node().id())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let network = Network::in_memory();
    let [one, _two] = [start("one", &network).await?, start("two", &network).await?];

    let names: Registry<String> = Registry::builder("names").start(&one).await?;
    let greeters = Supervisor::builder("greeters").start(&one).await?;
    for name in ["ada", "grace", "barbara"] {
        let spec = ChildSpec::of(name.into()).id(name).named(&names.via::<Greeter>(name));
        greeters.start_child(spec).await?;
    }
    for name in ["ada", "grace", "barbara"] {
        let greeter = names.via::<Greeter>(name);
        println!("{}", greeter.call(Greet { from: "you".into() }).await?);
    }
    Ok(())
}

async fn start(id: &str, network: &Network) -> anyhow::Result<Node> {
    Ok(Node::builder(id).network(network).runs::<Greeter>(()).start().await?)
}
