//! Join tokens and API tokens. Each tenant has a bounded number of each.

use ecep_proto::api::{http::TokenUse, name::TenantSlug};

use super::{ApiToken, JoinToken, Store, StoreError, sessions::to_the_minute};

/// Tokens of each kind that a tenant may have, ended ones included until they are swept.
/// Policy: one more is refused; delete some first.
const MAX_TOKENS_OF_A_TENANT: usize = 200;

impl Store {
    /// Adds a join token that this account makes.
    ///
    /// # Errors
    /// `Conflict` if whoever makes it is no owner any more; `Limit` if the tenant has too many; else see [`StoreError`].
    pub async fn add_join_token(&self, token: &JoinToken, made_by: &str) -> Result<(), StoreError> {
        {
            let _alone = self.alone();
            self.check_tenant(&token.tenant)?;
            self.check_owner(&token.tenant, made_by)?;
            check_room(self.join_tokens(&token.tenant)?.len(), "join")?;
            self.join_tokens.put(&token.id, token)?;
        }
        self.flush().await
    }

    /// Adds an API token.
    ///
    /// # Errors
    /// `Conflict` if whoever makes it is no owner any more; `Limit` if the tenant has too many; else see [`StoreError`].
    pub async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        {
            let _alone = self.alone();
            self.check_tenant(&token.tenant)?;
            if let Some(made_by) = &token.made_by {
                self.check_owner(&token.tenant, made_by)?;
            }
            check_room(self.api_tokens(&token.tenant)?.len(), "API")?;
            self.api_tokens.put(&token.id, token)?;
        }
        self.flush().await
    }

    /// The tenant's join tokens.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn join_tokens(&self, tenant: &TenantSlug) -> Result<Vec<JoinToken>, StoreError> {
        let all = self.join_tokens.rows()?.into_iter().map(|(_, token)| token);
        Ok(all.filter(|token| token.tenant == *tenant).collect())
    }

    /// The tenant's API tokens.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn api_tokens(&self, tenant: &TenantSlug) -> Result<Vec<ApiToken>, StoreError> {
        let all = self.api_tokens.rows()?.into_iter().map(|(_, token)| token);
        Ok(all.filter(|token| token.tenant == *tenant).collect())
    }

    /// The join token with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn join_token(&self, id: &str) -> Result<Option<JoinToken>, StoreError> {
        self.join_tokens.get(id)
    }

    /// The API token with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn api_token(&self, id: &str) -> Result<Option<ApiToken>, StoreError> {
        self.api_tokens.get(id)
    }

    /// Notes a use of an API token, to the minute: one row a minute is written, however often it is used. Not awaited to
    /// disk, and not noted where no change is taken.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn note_token_use(&self, token: &ApiToken, now: u64, address: &str) -> Result<(), StoreError> {
        let at = to_the_minute(now);
        if token.last_used.as_ref().is_none_or(|last| last.at != at) {
            let changed = self.api_tokens.change(&token.id, |token| {
                token.last_used = Some(TokenUse { at, address: address.to_owned() });
            });
            Self::noted(changed.map(drop))?;
        }
        Ok(())
    }

    /// Deletes the tenant's join token of this id; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_join_token(&self, tenant: &TenantSlug, id: &str) -> Result<bool, StoreError> {
        if self.join_tokens.get(id)?.is_none_or(|token| token.tenant != *tenant) {
            return Ok(false);
        }
        self.join_tokens.remove(id)?;
        self.flush().await?;
        Ok(true)
    }

    /// Deletes the tenant's API token of this id; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_api_token(&self, tenant: &TenantSlug, id: &str) -> Result<bool, StoreError> {
        if self.api_tokens.get(id)?.is_none_or(|token| token.tenant != *tenant) {
            return Ok(false);
        }
        self.api_tokens.remove(id)?;
        self.flush().await?;
        Ok(true)
    }
}

fn check_room(have: usize, kind: &str) -> Result<(), StoreError> {
    if have < MAX_TOKENS_OF_A_TENANT {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "This tenant has {have} {kind} tokens, and {MAX_TOKENS_OF_A_TENANT} is the most. Delete some first."
    )))
}
