//! The harness against itself: a real API server that is ready, authorizes by RBAC, impersonates,
//! issues tokens, and is shared by the tests of this process.

use pinfold_tests::{ApiServer, HarnessError, KubeAssets, User};
use std::error::Error;

type TestResult = Result<(), Box<dyn Error>>;

fn server() -> Result<&'static ApiServer, &'static HarnessError> {
    ApiServer::shared()
}

#[test]
fn is_the_pinned_version() -> TestResult {
    let version = server()?.kubectl(&["version", "-o", "json"], "")?.ok()?;
    let pinned = format!("\"gitVersion\": \"v{}\"", KubeAssets::pinned_version()?);
    let reported = version.matches(&pinned).count();
    assert_eq!(reported, 2, "client and server; does KUBEBUILDER_ASSETS differ? {version}");
    Ok(())
}

#[test]
fn rbac_decides_for_impersonated_users() -> TestResult {
    let server = server()?;
    let namespace = server.namespace("rbac", &[])?;
    let dev = User { name: "dev", groups: &["devs"] };
    let get = ["get", "configmaps", "-n", &namespace];
    let refused = server.kubectl_as(dev, &get, "")?;
    assert!(!refused.success() && refused.stderr.contains("forbidden"), "{refused:?}");

    for command in [
        "create role reader --verb=get,list --resource=configmaps",
        "create rolebinding devs --role=reader --group=devs",
    ] {
        let mut args: Vec<_> = command.split(' ').collect();
        args.extend(["-n", &namespace]);
        server.kubectl(&args, "")?.ok()?;
    }
    server.kubectl_as(dev, &get, "")?.ok()?;
    let other = User { name: "dev", groups: &["others"] };
    assert!(!server.kubectl_as(other, &get, "")?.success(), "the group is what was granted");
    Ok(())
}

#[test]
fn pods_of_the_default_service_account_are_accepted() -> TestResult {
    let server = server()?;
    let namespace = server.namespace("pods", &["pinfold.dev/agents=true"])?;
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: {namespace}}}\n\
         spec: {{containers: [{{name: c, image: i}}]}}\n"
    );
    assert_eq!(server.apply(&pod)?, "pod/a created\n");
    let path = "jsonpath={.metadata.labels.pinfold\\.dev/agents}";
    let label = server.kubectl(&["get", "namespace", &namespace, "-o", path], "")?.ok()?;
    assert_eq!(label, "true");
    Ok(())
}

#[test]
fn issues_tokens_for_service_accounts() -> TestResult {
    let server = server()?;
    let namespace = server.namespace("tokens", &[])?;
    let token = server.kubectl(&["create", "token", "default", "-n", &namespace], "")?.ok()?;
    let review = format!(
        "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {{token: {:?}}}\n",
        token.trim()
    );
    let name = "jsonpath={.status.user.username}";
    let user = server.kubectl(&["create", "-f", "-", "-o", name], &review)?.ok()?;
    assert_eq!(user, format!("system:serviceaccount:{namespace}:default"));
    Ok(())
}

#[test]
fn a_flag_that_does_not_exist_is_reported_with_the_log() {
    let refused = ApiServer::start_with(&["--no-such-flag"]).map(|_| ());
    let text = refused.map_err(|error| error.to_string()).unwrap_err();
    assert!(text.contains("kube-apiserver") && text.contains("no-such-flag"), "{text}");
}
