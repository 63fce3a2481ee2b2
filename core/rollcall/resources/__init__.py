"""The custom resources of `rollcall.dev/v1alpha1`: the models that the CRDs are generated from."""

from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.joboutput import JobOutput
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.schedule import Schedule

__all__ = ["Host", "Inventory", "JobInvocation", "JobOutput", "JobSlice", "JobTemplate", "Schedule"]
