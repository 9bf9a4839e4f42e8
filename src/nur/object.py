"""What everything the API returns has in common."""

from pydantic import BaseModel, ConfigDict


class NurObject(BaseModel):
    """A read-only object of the API. `model_dump()` gives it back as a dictionary."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())
