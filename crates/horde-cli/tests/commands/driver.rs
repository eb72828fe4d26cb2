//! A member inside the test that starts children on the others and calls them; none run on it.

use horde::{ChildSpec, Context, Handle, Message, Node, Process, Registry, Stop, Supervisor};
use serde::{Deserialize, Serialize};

use crate::scene::Scene;

/// The kind that `horde node` runs.
#[derive(Debug)]
struct Echo;

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = String)]
struct Say {
    text: String,
}

impl Process for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Deps = ();
    type Messages = (Say,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Say> for Echo {
    async fn handle(&mut self, say: Say, _: &mut Context<Self>) -> String {
        say.text
    }
}

pub(crate) struct Driver {
    runtime: tokio::runtime::Runtime,
    node: Node,
    names: Registry<String>,
    children: Supervisor,
}

impl Driver {
    /// Joins the scene as the member `driver`.
    pub(crate) fn join(scene: &Scene) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let secret = horde::read_secret_file(&scene.secret).unwrap();
        let (node, names, children) = runtime.block_on(async {
            let builder = Node::builder("driver").listen(([127, 0, 0, 1], 0).into()).secret("horde", &secret);
            let node = builder.join(scene.addresses()).weight(0).start().await.unwrap();
            let names = Registry::builder("names").start(&node).await.unwrap();
            let children = Supervisor::builder("children").start(&node).await.unwrap();
            (node, names, children)
        });
        Self { runtime, node, names, children }
    }

    /// Starts children with these numbers, each under a name of its own.
    pub(crate) fn start(&self, numbers: std::ops::Range<usize>) {
        self.runtime.block_on(async {
            for number in numbers {
                let id = format!("child-{number}");
                let spec = ChildSpec::<Echo>::of(()).id(&id).named(&self.names.via::<Echo>(&id));
                self.children.start_child(spec).await.unwrap();
            }
        });
    }

    /// Calls each of the children by its name; on which node each answers.
    pub(crate) fn call(&self, numbers: std::ops::Range<usize>) -> Vec<String> {
        self.runtime.block_on(async {
            let mut nodes = Vec::new();
            for number in numbers {
                let child = self.names.via::<Echo>(&format!("child-{number}"));
                let answer = child.call(Say { text: number.to_string() }).await.unwrap();
                let (text, on) = answer.split_once(" (on ").unwrap();
                assert_eq!(text, number.to_string());
                nodes.push(on.trim_end_matches(')').to_owned());
            }
            nodes
        })
    }

    /// Leaves in good order.
    pub(crate) fn leave(self) {
        self.runtime.block_on(self.node.stop());
    }
}
