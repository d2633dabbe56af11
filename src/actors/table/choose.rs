//! Which chain a request will use: its task's, one that it brings itself, or the one that a single
//! name stands for.

use std::rc::Rc;

use super::{Chain, DEFAULT, ModelHandle, Table};
use crate::config::UnknownTask;
use crate::protocol::chat::ChatRequest;
use crate::protocol::field::shown;
use crate::protocol::reply::{ErrorBody, ErrorCode};

impl Table {
    /// The chain that a request will use.
    pub(crate) fn chain(&self, request: &ChatRequest) -> Result<Rc<Chain>, ErrorBody> {
        if let Some(name) = &request.model {
            let front = request.front.as_deref();
            return match self.named(name) {
                Err(_) if front.is_some_and(|front| front.unknown_is_default) => {
                    Ok(self.fallback.clone())
                }
                named => named,
            };
        }
        let task = self.task(request.task.as_deref())?;
        match &request.models {
            None => Ok(task),
            Some(names) => {
                let models = names.iter().map(|name| self.model(name).cloned());
                Ok(task.instead(models.collect::<Result<_, _>>()?))
            }
        }
    }

    /// What programs write where they know of one name only: a task, or a model, which stands for
    /// the chain that begins with it and otherwise for itself alone.
    fn named(&self, name: &str) -> Result<Rc<Chain>, ErrorBody> {
        if let Some(chain) = self.chains().find(|chain| &*chain.task == name) {
            return Ok(chain.clone());
        }
        let Some(model) = self.models.get(name) else {
            let tasks = self.chains().map(|chain| &*chain.task);
            let mut known: Vec<&str> =
                self.models.keys().map(|name| &**name).chain(tasks).collect();
            known.sort_unstable();
            let name = shown(name, 80);
            let message =
                format!("there is no task or model {name}; configured are {}", known.join(", "));
            return Err(ErrorBody::new(ErrorCode::UnknownModel, message));
        };
        let mut begin = std::iter::once(&self.fallback).chain(self.chains.values());
        match begin.find(|chain| *chain.primary() == *name) {
            Some(chain) => Ok(chain.clone()),
            None => Ok(self.fallback.instead(vec![model.clone()])),
        }
    }

    fn task(&self, task: Option<&str>) -> Result<Rc<Chain>, ErrorBody> {
        let Some(task) = task else { return Ok(self.fallback.clone()) };
        match self.chains.get(task) {
            Some(chain) => Ok(chain.clone()),
            None if task == DEFAULT => Ok(self.fallback.clone()),
            None if self.request.unknown_task == UnknownTask::Default => Ok(self.fallback.clone()),
            None => {
                let known: Vec<&str> = self.chains.keys().map(|task| &**task).collect();
                let task = shown(task, 80);
                let message =
                    format!("there is no task {task}; configured are {}", known.join(", "));
                Err(ErrorBody::new(ErrorCode::UnknownTask, message))
            }
        }
    }
}

impl Chain {
    /// The same task with other models, for one request.
    fn instead(&self, models: Vec<ModelHandle>) -> Rc<Chain> {
        Rc::new(Chain {
            task: self.task.clone(),
            candidates: models.iter().map(ModelHandle::candidate).collect(),
            models,
            timeout: self.timeout,
            hedge_after: self.hedge_after,
            config: self.config.clone(),
            daily_spend: self.daily_spend.clone(),
            last_order: None,
        })
    }
}
