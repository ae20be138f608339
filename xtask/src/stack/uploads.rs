//! Uploads by tus 1.0, as a browser's stock client makes them: created, sent in parts, and named by the control plane in the end.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::artifact::ArtifactDigest;
use ecep_proto::api::http::CSRF_HEADER;
use ecep_proto::api::name::TenantSlug;
use serde_json::Value;

use super::cloud::{Cloud, answer};

/// The protocol's version.
const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");
/// `app.tar.gz`, in base64 as the protocol wants it.
const FILE_NAME: &str = "filename YXBwLnRhci5neg==";
/// Names what was stored.
const ARTIFACT: &str = "ecep-artifact";
/// How far the upload is.
const OFFSET: &str = "upload-offset";

type Response = ureq::http::Response<ureq::Body>;

/// An upload that has begun.
#[derive(Debug)]
pub struct Upload<'a> {
    cloud: &'a Cloud,
    /// Its path at the control plane.
    pub path: String,
}

impl Cloud {
    /// Begins an upload of so many bytes.
    ///
    /// # Errors
    /// [`super::Refused`], or it is out of reach; so for all that follow.
    pub fn begin_upload(&self, tenant: &TenantSlug, bytes: u64) -> Result<Upload<'_>> {
        let request = self.http().post(format!("{}/api/tenants/{tenant}/uploads", self.url()));
        let request = request.header("upload-length", bytes.to_string()).header("upload-metadata", FILE_NAME);
        let created = self.signed(request)?.send_empty()?;
        let location = header(&created, "location");
        answer::<Value>(created)?;
        let location = location.context("the control plane named no upload")?;
        // A proxy may have made it absolute.
        let path = location.find("/api/").map_or(location.as_str(), |at| &location[at..]).to_owned();
        Ok(Upload { cloud: self, path })
    }

    /// Uploads a file that was divided into these parts; answers the artifact that the control plane made of it.
    pub fn upload(&self, tenant: &TenantSlug, parts: &[PathBuf]) -> Result<ArtifactDigest> {
        let parts = parts.iter().map(|part| {
            let file = File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        });
        let parts: Vec<(File, u64)> = parts.collect::<Result<_>>()?;
        let upload = self.begin_upload(tenant, parts.iter().map(|(_, bytes)| bytes).sum())?;
        let (mut offset, mut artifact) = (0_u64, None);
        for (file, bytes) in &parts {
            artifact = upload.send(offset, *bytes, file)?;
            offset += bytes;
        }
        artifact.context("the control plane did not name the artifact")
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> Result<ureq::RequestBuilder<B>> {
        let cookie = self.cookie().context("nobody is logged in")?;
        Ok(request.header(CSRF_HEADER, "1").header("cookie", cookie).header(VERSION.0, VERSION.1))
    }
}

impl Upload<'_> {
    /// Sends all of a part that begins there; answers the artifact where it was the last one.
    pub fn send(
        &self,
        offset: u64,
        bytes: u64,
        part: impl ureq::AsSendBody,
    ) -> Result<Option<ArtifactDigest>> {
        let request = self.cloud.http().patch(format!("{}{}", self.cloud.url(), self.path));
        let request = request.header(OFFSET, offset.to_string());
        let request = request.header("content-type", "application/offset+octet-stream");
        let sent = self.cloud.signed(request)?.send(part)?;
        let (stands, artifact) = (header(&sent, OFFSET), header(&sent, ARTIFACT));
        answer::<Value>(sent)?;
        let offset = offset + bytes;
        ensure!(stands == Some(offset.to_string()), "the upload stands at {stands:?} and not at {offset}");
        Ok(artifact.map(|artifact| artifact.parse()).transpose()?)
    }

    /// How many bytes the control plane has of it.
    pub fn offset(&self) -> Result<u64> {
        let request = self.cloud.http().head(format!("{}{}", self.cloud.url(), self.path));
        let response = self.cloud.signed(request)?.call()?;
        header(&response, OFFSET)
            .and_then(|text| text.parse().ok())
            .with_context(|| format!("the control plane answered {} and no offset", response.status()))
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
