//! A cart keeps its items when its node stops.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
use horde::{ChildSpec, Context, Handle, Message, Network, Node, Process, State, Stop, Supervisor};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
struct Add {
    item: String,
}

#[derive(Serialize, Deserialize, Message)]
#[message(reply = Vec<String>)]
struct Items;

struct Cart {
    items: Vec<String>,
}

impl Process for Cart {
    const KIND: &'static str = "cart";
    type Args = ();
    type Deps = ();
    type Messages = (Add, Items);

    async fn init(_: (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Cart { items: vec![] })
    }
    async fn handoff(&mut self, _: &mut Context<Self>) -> Option<State> {
        State::encode(1, &self.items)
    }
    async fn resume(_: (), state: State, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Cart { items: state.decode(1)? })
    }
}
impl Handle<Add> for Cart {
    async fn handle(&mut self, add: Add, _: &mut Context<Self>) {
        self.items.push(add.item);
    }
}
impl Handle<Items> for Cart {
    async fn handle(&mut self, _: Items, cx: &mut Context<Self>) -> Vec<String> {
        println!("asked on {}", cx.node().id());
        self.items.clone()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let network = Network::in_memory();
    let one = Node::builder("one").network(&network).runs::<Cart>(()).start().await?;
    let two = Node::builder("two").network(&network).start().await?;
    let carts = Supervisor::builder("carts").start(&two).await?;
    carts.start_child(ChildSpec::<Cart>::of(()).id("42")).await?;
    let cart = carts.via::<Cart>("42");
    cart.cast(Add { item: "tea".into() })?;
    println!("{:?}", cart.call(Items).await?);

    let _three = Node::builder("three").network(&network).runs::<Cart>(()).start().await?;
    one.stop().await;
    println!("{:?}", cart.call(Items).await?);
    Ok(())
}
