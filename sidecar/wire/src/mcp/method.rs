//! The methods that the published schemas name, by sender and revision. Any other is unknown, and unknown is refused by policy.

use super::revision::Revision;

macro_rules! methods {
    ($(#[$doc:meta])* $set:ident { $($variant:ident = $name:literal in $revisions:expr;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $set {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl $set {
            /// Every method of this sender.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The method of that name, if a published schema has it.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|method| method.as_str() == name)
            }

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Whether the schema of that revision, or an official extension of it, has the method.
            #[must_use]
            pub fn is_in(self, revision: Revision) -> bool {
                match self { $(Self::$variant => $revisions.contains(&revision)),* }
            }
        }
    };
}

const ALL: &[Revision] = Revision::ALL;
const OLD: &[Revision] = Revision::WITH_SESSIONS;
const SINCE_2025_06: &[Revision] =
    &[Revision::V2025_06_18, Revision::V2025_11_25, Revision::V2026_07_28];
const ONLY_2025_11: &[Revision] = &[Revision::V2025_11_25];
const SINCE_2025_11: &[Revision] = &[Revision::V2025_11_25, Revision::V2026_07_28];
const NEW: &[Revision] = &[Revision::V2026_07_28];

methods! {
    /// What a client sends: requests and notifications.
    ClientMethod {
        Initialize = "initialize" in OLD;
        Ping = "ping" in OLD;
        ServerDiscover = "server/discover" in NEW;
        ToolsList = "tools/list" in ALL;
        ToolsCall = "tools/call" in ALL;
        ResourcesList = "resources/list" in ALL;
        ResourcesTemplatesList = "resources/templates/list" in ALL;
        ResourcesRead = "resources/read" in ALL;
        ResourcesSubscribe = "resources/subscribe" in OLD;
        ResourcesUnsubscribe = "resources/unsubscribe" in OLD;
        PromptsList = "prompts/list" in ALL;
        PromptsGet = "prompts/get" in ALL;
        CompletionComplete = "completion/complete" in ALL;
        LoggingSetLevel = "logging/setLevel" in OLD;
        SubscriptionsListen = "subscriptions/listen" in NEW;
        TasksGet = "tasks/get" in SINCE_2025_11;
        TasksResult = "tasks/result" in ONLY_2025_11;
        TasksList = "tasks/list" in ONLY_2025_11;
        TasksCancel = "tasks/cancel" in SINCE_2025_11;
        TasksUpdate = "tasks/update" in NEW;
        Initialized = "notifications/initialized" in OLD;
        Cancelled = "notifications/cancelled" in ALL;
        Progress = "notifications/progress" in OLD;
        RootsListChanged = "notifications/roots/list_changed" in OLD;
        TasksStatus = "notifications/tasks/status" in ONLY_2025_11;
    }
}

methods! {
    /// What a server sends: requests, input requests inside results, and notifications.
    ServerMethod {
        SamplingCreateMessage = "sampling/createMessage" in ALL;
        ElicitationCreate = "elicitation/create" in SINCE_2025_06;
        RootsList = "roots/list" in ALL;
        Ping = "ping" in OLD;
        TasksGet = "tasks/get" in ONLY_2025_11;
        TasksResult = "tasks/result" in ONLY_2025_11;
        TasksList = "tasks/list" in ONLY_2025_11;
        TasksCancel = "tasks/cancel" in ONLY_2025_11;
        Message = "notifications/message" in ALL;
        Progress = "notifications/progress" in ALL;
        Cancelled = "notifications/cancelled" in OLD;
        ResourcesListChanged = "notifications/resources/list_changed" in ALL;
        ResourcesUpdated = "notifications/resources/updated" in ALL;
        ToolsListChanged = "notifications/tools/list_changed" in ALL;
        PromptsListChanged = "notifications/prompts/list_changed" in ALL;
        ElicitationComplete = "notifications/elicitation/complete" in ONLY_2025_11;
        TasksStatus = "notifications/tasks/status" in ONLY_2025_11;
        Tasks = "notifications/tasks" in NEW;
        SubscriptionsAcknowledged = "notifications/subscriptions/acknowledged" in NEW;
    }
}
