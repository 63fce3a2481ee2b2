"""What the demo does and tells, in order."""

import installation
import jobs
import machines
import rest
from commands import kubectl, require, run_visibly
from names import IMAGE, JOBS, MACHINE_IMAGE, MACHINES, RELEASE, SYSTEM
from terminal import heading, say, table

PROGRAMS = {"kubectl": "kubectl", "helm": "helm", "curl": "curl", "ssh-keygen": "openssh-client"}


def tell() -> None:
    """Install Rollcall, run jobs, show what came of them."""
    require(PROGRAMS)
    heading("Cluster")
    say(kubectl("get", "nodes").strip())

    heading(f"Images: building and loading {IMAGE} and {MACHINE_IMAGE}")
    run_visibly("hack/cluster", "build", "--load", "-t", IMAGE, ".")
    run_visibly("hack/cluster", "build", "--load", "-t", MACHINE_IMAGE, "hack/sshhost")

    heading(f"Rollcall, by Helm: release {RELEASE} in namespace {SYSTEM}")
    password = installation.prepare()
    installation.install()
    say(kubectl("get", "deployments", "-n", SYSTEM).strip())

    heading(f"Three hosts: pods with sshd in namespace {MACHINES}, each with its own key")
    for host in machines.start():
        say(f"{host['metadata']['name']}  {host['spec']['address']}  {host['spec']['hostKeys'][0]}")

    heading(f"kubectl apply -n {JOBS} -f examples/")
    say(jobs.start().strip())
    print()
    jobs.wait()
    print()
    table(jobs.results())

    heading("All that web1 said in the job uptime")
    say(jobs.output("uptime", "web1").rstrip())

    heading("The same by REST")
    facade = installation.open_facade(password)
    rest.run_job(facade)

    heading("Look further")
    say(
        f"source .cluster/env          # KUBECONFIG, ROLLCALL_URL, ROLLCALL_USER, ROLLCALL_PASSWORD, ROLLCALL_TOKEN\n"
        f"kubectl -n {JOBS} get rollcall\n"
        f"kubectl -n {JOBS} describe jobinvocation uptime\n"
        f"kubectl explain jobinvocation.spec.targeting\n"
        f'curl -H "Authorization: Bearer $ROLLCALL_TOKEN" "$ROLLCALL_URL/api/job_invocations"\n'
        f"make clean-demo              # removes all of this; make down stops the cluster"
    )
