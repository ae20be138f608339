//! Figure 10: a container from an image that the device does not have, beside `docker pull` and `docker create`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use ecep_proto::api::ContainerCreate;
use ecep_proto::api::container::CreateContainer;
use ecep_proto::api::name::ContainerId;

use super::figures::Way;
use super::steps::Took;
use super::{Contest, EDGE, LIMIT, USER, files};
use crate::lab;
use crate::shell;
use crate::stack::Stack;

const CONTAINER: &str = "paper";
/// The only file of the images. Nothing is ever started of them.
const FILE: &str = "program";

pub(super) struct Create<'a> {
    stack: &'a Stack,
    /// By their sizes, the names to pull them by.
    images: HashMap<u64, String>,
    created: Option<ContainerId>,
}

impl<'a> Create<'a> {
    pub(super) fn new(stack: &'a Stack) -> Self {
        Self { stack, images: HashMap::new(), created: None }
    }

    fn image(&self, bytes: u64) -> Result<&str> {
        Ok(self.images.get(&bytes).context("the image was not made")?)
    }

    /// Builds an image on the user's engine, and leaves it in the registry alone.
    fn make(&self, bytes: u64) -> Result<String> {
        let device = self.stack.lab().device(USER);
        let context = device.data_dir().join("paper-image");
        fs::create_dir_all(&context)?;
        files::packable(&context.join(FILE), bytes)?;
        fs::write(context.join("Dockerfile"), format!("FROM scratch\nCOPY {FILE} /{FILE}\n"))?;
        let image = format!("paper/{bytes}:1");
        shell::output(device.docker().args(["build", "--quiet", "--tag", &image]).arg(&context))?;
        fs::remove_dir_all(&context)?;
        let name = lab::push_image(&image, device, self.stack.registry())?;
        device.run_docker(["rmi", "--force", &image])?;
        Ok(name)
    }
}

impl Contest for Create<'_> {
    fn prepare(&mut self, bytes: u64) -> Result<()> {
        if !self.images.contains_key(&bytes) {
            self.images.insert(bytes, self.make(bytes)?);
        }
        Ok(())
    }

    fn once(&mut self, way: Way, bytes: u64) -> Result<Took> {
        let image = self.image(bytes)?;
        let program = format!("/{FILE}");
        let mut took = Took::default();
        match way {
            Way::Ours => {
                let mut order = CreateContainer::new(CONTAINER.parse()?, image);
                order.command = Some(vec![program]);
                order.start = false;
                let timed = self.stack.operator().order_timed::<ContainerCreate>(
                    self.stack.id(EDGE),
                    &order,
                    LIMIT,
                )?;
                self.created = timed.answer.container_id.clone();
                took.order(&timed);
            }
            Way::Raw => {
                let device = self.stack.lab().device(EDGE);
                took.step("pulling", || device.run_docker(["pull", "--quiet", image]))?;
                took.step("creating", || {
                    device.run_docker(["create", "--name", CONTAINER, image, &program])
                })?;
            }
        }
        Ok(took)
    }

    fn clear(&mut self) -> Result<()> {
        let device = self.stack.lab().device(EDGE);
        if let Some(container) = self.created.take() {
            self.stack.delete(EDGE, &container)?;
        }
        device.run_docker(["rm", "--force", CONTAINER])?;
        for image in self.images.values() {
            // Most of them are not there.
            if !device.run_docker(["images", "--quiet", image])?.is_empty() {
                device.run_docker(["rmi", "--force", image])?;
            }
        }
        Ok(())
    }
}
