//! Images of a Docker engine: which there are, and how they come to it as bytes: loaded from an archive, or built by its classic builder,
//! whose containers get nothing that could be chosen. Which bytes these are is decided elsewhere.

use bollard::{
    body_try_stream,
    models::BuildInfo,
    query_parameters::{
        BuildImageOptionsBuilder, BuilderVersion, ImportImageOptionsBuilder, ListImagesOptionsBuilder,
        RemoveImageOptionsBuilder,
    },
};
use ecep_proto::api::image::ImageView;
use futures_util::TryStreamExt;

use super::{ASK_SECONDS, DockerEngine, WORK_SECONDS, failure::Doing, view};
use crate::engine::{BuildOrder, ByteStream, EngineError, ImageFacts};

/// The engine answers when it has taken the whole archive: gigabytes on a slow card.
const TAKE_SECONDS: u64 = 3600;
/// One core, in the engine's unit for a period of 100 ms: a build must not starve what runs.
const CPU_PERIOD: i32 = 100_000;
const CPU_QUOTA: i32 = 100_000;

impl DockerEngine {
    pub(super) async fn all_images(&self) -> Result<Vec<ImageView>, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let images = client
            .list_images(Some(ListImagesOptionsBuilder::new().build()))
            .await
            .map_err(|error| self.told(&Doing::Asking, error))?;
        let mut images: Vec<ImageView> = images.into_iter().map(view::image).collect();
        images.sort_by(|one, other| (&one.tags, &one.id).cmp(&(&other.tags, &other.id)));
        Ok(images)
    }

    pub(super) async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let found = client.inspect_image(reference).await;
        match found.map_err(|error| self.told(&Doing::Image(reference), error)) {
            Ok(image) => Ok(Some(view::image_facts(image))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn load_archive(&self, archive: ByteStream) -> Result<(), EngineError> {
        let client = self.client(TAKE_SECONDS).await?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut steps = std::pin::pin!(client.import_image(options, body_try_stream(archive), None));
        while steps.try_next().await.map_err(|error| self.told(&Doing::Load, error))?.is_some() {}
        Ok(())
    }

    /// The classic builder ends a build whose client goes away: whoever drops this has ended it.
    pub(super) async fn build_image(
        &self,
        order: &BuildOrder,
        context: ByteStream,
        mut output: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        let client = self.client(TAKE_SECONDS).await?;
        let memory = i32::try_from(order.memory_bytes).unwrap_or(i32::MAX);
        // Swap beyond the memory would only wear the card out.
        let options = BuildImageOptionsBuilder::new()
            .version(BuilderVersion::BuilderV1)
            .dockerfile(&order.dockerfile)
            .t(&order.reference)
            .nocache(order.cache_from.is_empty())
            .cachefrom(&order.cache_from)
            .rm(true)
            .forcerm(true)
            .memory(memory)
            .memswap(memory)
            .cpuperiod(CPU_PERIOD)
            .cpuquota(CPU_QUOTA)
            .networkmode("default")
            .build();
        let mut steps = std::pin::pin!(client.build_image(options, None, Some(body_try_stream(context))));
        while let Some(step) = steps.try_next().await.map_err(|error| self.told(&Doing::Build, error))? {
            let BuildInfo { stream, status, .. } = step;
            for text in [stream, status].into_iter().flatten() {
                output(&text);
            }
        }
        Ok(())
    }

    pub(super) async fn drop_image(&self, reference: &str) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let options = RemoveImageOptionsBuilder::new().build();
        client
            .remove_image(reference, Some(options), None)
            .await
            .map(drop)
            .map_err(|error| self.told(&Doing::Image(reference), error))
    }
}
