//! The words of every topic. Each row is one way to speak of it, and rows that stand first win.

use super::{Topic, Wording};

const fn row(
    topic: Topic,
    all: &'static [&'static [&'static str]],
    none: &'static [&'static str],
) -> Wording {
    Wording { topic, all, none }
}

/// Rules about data and people that are not about content.
#[rustfmt::skip]
const OTHER_POLICIES: &[&str] =
    &[
        " data polic", " privacy polic", " retention", " organization polic", " case sensitive",
        " firewall", " ip address", " suspicious activity", " account has been", " account is",
        " account was", " schema", " constraint", " field", " character at", " encoding",
        " timed out", " timeout", " unavailable", " does not exist", " flagged off", " prompt id",
        " prompt cache",
    ];

/// Limits of the answer, and limits in time: no prompt is too long because of them.
#[rustfmt::skip]
const OTHER_LIMITS: &[&str] = &[
    " max tokens", " max completion tokens", " max output tokens", " output tokens",
    " completion tokens", " maximum tokens you requested", " maximum tokens value", " budget",
    " per minute", " per day", " quota", " string", " stop sequence", " tools", " array", " deadline",
];

/// Words for something that is larger than allowed.
#[rustfmt::skip]
const TOO_MUCH: &[&str] = &[
    " exceed", " too long", " too large", " too big", " too many", " longer than", " larger than",
    " greater than", " bigger than", " more than", " less than", " maximum", " max ", " limit",
    " above", " beyond", " over ", " reduce", " shorten", " truncat", " overflow", " not fit",
    " only support", " up to", " at most", " range of", " out of range", " surpass", " longer fit",
    " doesnt fit", " cannot fit", " wont fit",
];

#[rustfmt::skip]
pub(super) const TABLE: &[Wording] = &[
    row(
        Topic::Policy,
        &[&[
            " content filter", " content polic", " content management polic", " content violat",
            " content risk", " content exists risk", " content moderation", " safety system",
            " safety filter", " safety check", " safety polic", " safety guideline",
            " safety reasons", " usage polic", " usage guideline", " acceptable use",
            " responsible ai", " moderation", " data inspection", " guardrail",
            " prohibited content", " prohibited use", " inappropriate", " harmful", " flagged",
            " risk control", " invalid prompt", " jailbreak", "敏感", "不安全", "违规",
        ]],
        OTHER_POLICIES,
    ),
    row(
        Topic::Policy,
        &[
            &[
                " content", " prompt", " input", " output", " request", " response", " text",
                " image",
            ],
            &[
                " unsafe", " sensitive", " prohibited", " objectionable", " offensive",
                " violence", " sexual", " illegal content", " high risk", " violates our",
                " violates the polic", " violating", " violation of", " blocked due to",
                " blocked by our", " against our polic",
            ],
        ],
        OTHER_POLICIES,
    ),
    row(
        Topic::Policy,
        &[
            &[" safety "],
            &[" reject", " block", " refus", " flagged", " declin", " violat", " triggered"],
        ],
        OTHER_POLICIES,
    ),
    row(
        Topic::Glitch,
        &[&[
            " tool use failed", " json validate failed", " failed generation",
            " failed to generate json", " failed to call a function",
            " failed to parse tool call", " failed to parse function call",
            " error parsing tool call", " tool call validation failed",
            " malformed function call", " malformed tool call", " generated invalid",
            " model produced invalid", " model generated malformed",
            " produced an invalid", " produced a malformed", " generated an invalid",
            " generated a malformed", " failed to generate a valid",
        ]],
        &[],
    ),
    row(
        Topic::Rate,
        &[&[
            " rate limit", " ratelimit", " rate exceeded", " too many requests",
            " requests per ", " resource exhausted",
            " tokens per min", " tokens per day", " tpm ", " rpm ", " throttl",
            " concurrency limit", " concurrent requests", " slow down", "速率限制", "频繁",
        ]],
        &[],
    ),
    row(
        Topic::Context,
        &[
            &[
                " context length", " context window", " context size", " context limit",
                " model context", " models context", " maximum context", " max context",
                " maximum model length", " max model len", " sequence length", " prompt length",
                " input length", " n ctx", " than the context", " in the context", " into the context",
            ],
            TOO_MUCH,
        ],
        &[" per minute", " string", " deadline"],
    ),
    row(
        Topic::Context,
        &[
            &[
                " prompt", " input", " message", " conversation", " context", " request",
                " history", " total", " current length", " sequence",
            ],
            &[" token", " context", " length"],
            TOO_MUCH,
        ],
        OTHER_LIMITS,
    ),
    row(
        Topic::Context,
        &[&[
            " prompt is too long", " prompt too long", " input is too long", " input too long",
            " messages too long", " message is too long", " conversation is too long",
            " conversation too long", " context is too long", " context too long",
            " text is too long", " too many tokens", " too many input tokens",
            " too many total text", " exceeds max length", " while limit is",
            " tokens limit reached", "超长", "过长", "上下文长度",
        ]],
        &[" string", " per minute", " tools"],
    ),
    row(Topic::Context, &[&[" token limit", " tokens limit"]], OTHER_LIMITS),
    row(
        Topic::Money,
        &[&[
            " insufficient balance", " insufficient quota", " insufficient fund",
            " insufficient credit", " balance is insufficient", " quota is insufficient",
            " not enough balance", " not enough credit", " not enough money", " credit balance",
            " balance is too low", " arrear", " overdue", " unpaid", " good standing",
            " payment required", " payment method", " spend limit", " spending limit",
            " spending cap", " usage limit", " billing hard limit", " billing limit",
            " billing not active", " billing is not", " billing error", " billing account",
            " billing disabled", " enable billing", " exceeded your current quota",
            " exceeded current quota", " requires more credit", " more credits",
            " can only afford", " out of credit", " no credit", " credits have been",
            " purchase credit", " buy credit", " recharge", " top up", " prepaid",
            " billing details", " budget has been exceeded", " budget exceeded",
            " key limit exceeded", "余额", "欠费", "充值",
        ]],
        &[],
    ),
    row(
        Topic::Money,
        &[
            &[" balance", " credit", " quota", " funds", " subscription", " trial", " free tier"],
            &[
                " exhaust", " used up", " run out", " ran out", " depleted", " expired",
                " exceeded", " insufficient", " not enough", " not sufficient", " too low",
                " negative", " no remaining", " none left", " no more", " reached zero", " spent",
            ],
        ],
        &[" credential"],
    ),
    row(
        Topic::Feature,
        &[&[
            " no endpoints found that support", " found that can handle", " enable auto tool choice", " thought signature",
            " prefill", " signature in thinking", " thinking block", " roles are supported",
            " expected last role", " not available for this model",
            " not available with this model",
        ]],
        &[],
    ),
    row(
        Topic::Model,
        &[&[
            " unknown model", " invalid model", " no such model", " unsupported model",
            " unrecognized model", " model not found", " model not exist", " model not available",
            " model not supported", " model decommissioned", " model deprecated",
            " model retired", " model is not found", " not a valid model",
            " no endpoints found for", " no endpoints available", " no allowed providers",
            " no available channel", " access to model", " access to the model",
            " access to this model", " on demand throughput", " resource not found exception",
            " invalid model identifier", " model use case details", " could not find model", " cannot find model",
            " deployment not found", " deployment for this resource does not exist",
            " operation not supported", " no longer served", " no model named", " no model called",
            " no model with", " not found for account", "模型不存在", " requested model is not", " specified model is not",
            " model identifier is", " model id is not", " model id is invalid",
        ]],
        &[" temporarily", " overloaded", " at capacity"],
    ),
    row(
        Topic::Model,
        &[
            &[" model ", " models ", " deployment "],
            &[
                " not found", " does not exist", " doesnt exist", " not exist", " decommissioned",
                " no longer available", " no longer supported", " no longer exist",
                " has been deprecated", " has been removed", " has been retired",
                " shut down", " sunset", " discontinued", " retired", " end of life",
                " end of its life", " not in the catalog", " not in the list of", " not among",
                " not served", " not being served", " not hosted", " withdrawn",
                " is unknown", " is not available", " is unavailable",
                " is not accessible", " is not deployed", " is not loaded",
                " not enabled for your", " not available to your", " not have access",
            ],
        ],
        &[
            " for this model", " with this model", " by this model", " temporarily",
            " overloaded", " at capacity", " tool", " image", " parameter", " file",
            " denied on resource",
        ],
    ),
    row(
        Topic::Key,
        &[
            &[
                " api key", " apikey", " access key", " secret key", " x api key", " credential",
                " authentication", " access token", " auth token", " bearer", " authorization",
                " security token", " api token", " jwt",
            ],
            &[
                " invalid", " incorrect", " wrong", " missing", " expired", " revoked",
                " not valid", " isnt valid", " denied", " fail", " not provide", " didnt provide",
                " disabled", " suspended", " not authorized", " malformed", " not found",
                " required", " must provide", " unable", " could not", " cannot", " deactivated",
                " not exist", " leaked", " error",
            ],
        ],
        &[],
    ),
    row(
        Topic::Key,
        &[&[
            " no auth", " no api key", " missing auth", "令牌", "密钥",
            " unauthenticated", " unrecognized client", " invalid signature",
            " incomplete signature", " signature does not match", " signature expired",
            " request signature we calculated", " request expired", " expired token",
            " invalid client token", " opt in required", " failed precondition", " not authenticated", " unauthorized",
            " permission denied",
            " permission error", " access denied", " account suspended", " account is suspended",
            " account deactivated", " account has been disabled",
            " organization has been disabled", " location is not supported",
            " country not supported",
            " country region territory", " unsupported country", " unsupported region",
            " not supported in your country",
            " region is not supported", " country region or territory", " not allowed from your",
        ]],
        &[],
    ),
    row(
        Topic::Size,
        &[
            &[" payload", " body size", " request"],
            &[
                " too large", " size exceed", " exceeds the size", " body exceed", " size limit",
                " entity too large",
            ],
        ],
        &[],
    ),
    row(
        Topic::Busy,
        &[&[
            " overloaded", " over capacity", " at capacity", " capacity exceeded", " no capacity",
            " server is busy", " server busy", " currently busy", " queue is full", " queue full",
            " heavy load", " high load", " too busy", " loading model", " model is loading",
            " currently loading", " unavailable error", " service unavailable",
            " temporarily unavailable",
        ]],
        &[],
    ),
    row(
        Topic::Feature,
        &[&[
            " not support", " unsupported", " doesnt support", " isnt supported",
            " arent supported", " not allowed", " not permitted", " not enabled",
            " not implemented", " not compatible", " incompatible", " unknown param",
            " unknown field", " unknown name", " unknown variant", " unknown argument",
            " unrecognized request argument", " unrecognized key", " unrecognized field",
            " unexpected keyword", " unexpected field", " extra inputs", " extra forbidden",
            " must alternate", " roles must", " only supports", " only support", " is deprecated",
            " cannot both be", " cannot be used", " can not be used", " cannot be combined",
            " mutually exclusive", " maximum allowed number of output", " too many tools",
            " number of tools", " tool call parser", " tools are disabled",
            " should match pattern", " not accept", " doesnt accept", " not handle", " cannot render",
            " unable to render", " must be at the beginning", " must be the first",
            " must come first", " passed back", " must be set to", " last turn", " last message",
            " first message", " must start with a", " must end with a", " not capable",
            " incapable",
        ]],
        &[],
    ),
    row(
        Topic::Feature,
        &[
            &[
                " response format", " json schema", " json mode", " structured output",
                " tool choice", " tool use", " tool call", " function calling", " modality",
                " modalities", " vision", " audio", " images", " image input", " thinking",
                " reasoning", " streaming", " system role", " system message", " developer",
            ],
            &[" unavailable", " not available", " disabled", " isnt available", " off ", " lacks"],
        ],
        &[" temporarily", " service"],
    ),
    row(
        Topic::Feature,
        &[
            &[
                " max tokens", " max completion tokens", " max output tokens", " output tokens",
                " completion tokens", " maximum tokens you requested", " thinking budget",
                " budget tokens", " temperature", " top p", " tools",
            ],
            &[
                " less than or equal", " greater than", " exceed", " too large", " too many",
                " at most", " maximum", " must be between", " range", " only the default",
            ],
        ],
        &[],
    ),
];
