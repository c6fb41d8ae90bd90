"""Azure's ways to log in, as objects that scripts can make and pass as `auth`.

They have the parameters of azureml-core 1.61 and keep none of them: some are secret.
"""

from __future__ import annotations

from typing import NoReturn

from runlore.exceptions import OutOfScope


class AbstractAuthentication:
    """A login that is not needed: whoever may read a workspace's folder may open it."""

    def __init__(self, cloud: object = None) -> None:
        pass

    def get_authentication_header(self) -> NoReturn:
        """Not covered: there is no service to which it could be sent."""
        raise OutOfScope("accounts", "leave it out: a workspace needs no login")

    def get_token(self) -> NoReturn:
        """Not covered, as `get_authentication_header`."""
        self.get_authentication_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ArmTokenAuthentication(AbstractAuthentication):
    """A login by a token; see AbstractAuthentication."""

    def __init__(self, arm_access_token: object, cloud: object = None) -> None:
        pass


class AzureCliAuthentication(AbstractAuthentication):
    """The login of the command `az`; see AbstractAuthentication."""


class AzureMLTokenAuthentication(AbstractAuthentication):
    """The login of a run; see AbstractAuthentication."""

    def __init__(
        self,
        azureml_access_token: object,
        expiry_time: object = None,
        host: object = None,
        subscription_id: object = None,
        resource_group_name: object = None,
        workspace_name: object = None,
        experiment_name: object = None,
        run_id: object = None,
        user_email: object = None,
        experiment_id: object = None,
        cloud: object = None,
    ) -> None:
        pass


class InteractiveLoginAuthentication(AbstractAuthentication):
    """A login in a browser; see AbstractAuthentication."""

    def __init__(self, force: bool = False, tenant_id: object = None, cloud: object = None) -> None:
        pass


class MsiAuthentication(AbstractAuthentication):
    """The login of a machine; see AbstractAuthentication."""

    def __init__(self, cloud: object = None, identity_config: object = None) -> None:
        pass


class ServicePrincipalAuthentication(AbstractAuthentication):
    """The login of a service; see AbstractAuthentication."""

    def __init__(
        self,
        tenant_id: object,
        service_principal_id: object,
        service_principal_password: object,
        cloud: object = None,
        _enable_caching: bool = True,
    ) -> None:
        pass


class TokenAuthentication(AbstractAuthentication):
    """A login by a function that gives tokens; see AbstractAuthentication."""

    def __init__(self, get_token_for_audience: object, cloud: object = None) -> None:
        pass


for _class in (AbstractAuthentication, *AbstractAuthentication.__subclasses__()):
    _class.__module__ = "runlore.authentication"  # Where users import it from.
