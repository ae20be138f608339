//! A client of uploads, as the stock ones are, and archives to upload.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::{Answer, Person, answer};

/// An upload of somebody.
pub struct Upload {
    pub person: Person,
    pub path: String,
}

/// The SHA-256 of some bytes, as an artifact's id has it.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tree of files with this one in it, and `size` bytes that cannot be compressed beside it.
pub fn archive(path: &str, size: usize) -> Vec<u8> {
    archive_with(path, "print('hello')\n", size)
}

/// The same, with this text in the file.
pub fn archive_with(path: &str, text: &str, size: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut noise = vec![0_u8; size];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 33) as u8;
    }
    for (name, content) in [(path, text.as_bytes()), ("noise.bin", &noise)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Written by hand, since the crate would not write a path that leads out.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An image for this architecture, as `docker save` makes it.
pub fn image(architecture: &str) -> Vec<u8> {
    let layer = archive("hello", 10);
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))] },
    });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"] }]);
    let mut tar = tar::Builder::new(Vec::new());
    let (config, manifest) = (config.to_string().into_bytes(), manifest.to_string().into_bytes());
    for (name, content) in [("config.json", &config), ("layer.tar", &layer), ("manifest.json", &manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

impl Person {
    /// Asks as clients of tus do.
    pub async fn tus(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("x-ecep-csrf", "1").header("tus-resumable", "1.0.0");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = answer(request.body(body)).await;
        assert_eq!(answered.header("tus-resumable"), "1.0.0", "{answered:?}");
        answered
    }

    /// What beginning an upload is answered.
    pub async fn ask_to_upload(&self, tenant: &str, bytes: usize, digest: Option<&str>) -> Answer {
        let mut metadata = format!("filename {}", STANDARD.encode("app.tar"));
        if let Some(digest) = digest {
            metadata.push_str(&format!(",sha256 {}", STANDARD.encode(digest)));
        }
        let length = bytes.to_string();
        let headers = [("upload-length", length.as_str()), ("upload-metadata", &metadata)];
        self.tus(Method::POST, &format!("/api/tenants/{tenant}/uploads"), &headers, vec![]).await
    }

    /// Begins an upload.
    pub async fn upload(&self, tenant: &str, bytes: usize) -> Upload {
        let begun = self.ask_to_upload(tenant, bytes, None).await;
        assert_eq!(begun.status, 201, "{begun:?}");
        Upload { person: self.clone(), path: begun.header("location").to_owned() }
    }

    /// Uploads all of it at once; the artifact's id.
    pub async fn upload_whole(&self, tenant: &str, bytes: &[u8]) -> String {
        let done = self.upload(tenant, bytes.len()).await.part(0, bytes).await;
        assert_eq!(done.status, 204, "{done:?}");
        done.header("ecep-artifact").to_owned()
    }
}

impl Upload {
    /// Sends a part.
    pub async fn part(&self, offset: usize, bytes: &[u8]) -> Answer {
        self.checked_part(offset, bytes, None).await
    }

    /// Sends a part with a checksum.
    pub async fn checked_part(&self, offset: usize, bytes: &[u8], checksum: Option<&str>) -> Answer {
        let offset = offset.to_string();
        let mut headers =
            vec![("content-type", "application/offset+octet-stream"), ("upload-offset", &offset)];
        headers.extend(checksum.map(|checksum| ("upload-checksum", checksum)));
        self.person.tus(Method::PATCH, &self.path, &headers, bytes.to_vec()).await
    }

    pub async fn head(&self) -> Answer {
        self.person.tus(Method::HEAD, &self.path, &[], vec![]).await
    }

    /// How much has arrived.
    pub async fn offset(&self) -> usize {
        let answer = self.head().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("upload-offset").parse().unwrap()
    }

    pub async fn view(&self) -> serde_json::Value {
        let answer = self.person.get(&self.path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub async fn give_up(&self) -> Answer {
        self.person.tus(Method::DELETE, &self.path, &[], vec![]).await
    }

    /// Begins to send a part that has `length` bytes, and sends these; the connection is open then.
    pub fn begin_part(&self, offset: usize, length: usize, bytes: &[u8]) -> std::net::TcpStream {
        use std::io::Write;
        let address = self.person.base.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "PATCH {} HTTP/1.1\r\nhost: {address}\r\ncookie: {}\r\nx-ecep-csrf: 1\r\ntus-resumable: 1.0.0\r\n\
             content-type: application/offset+octet-stream\r\nupload-offset: {offset}\r\ncontent-length: {length}\r\n\r\n",
            self.path,
            self.person.cookie.as_ref().unwrap()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }
}
