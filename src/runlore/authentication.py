"""Azure's `azureml.core.authentication`: there are no accounts, so its objects do nothing."""

from runlore.azure.authentication import AbstractAuthentication as AbstractAuthentication
from runlore.azure.authentication import ArmTokenAuthentication as ArmTokenAuthentication
from runlore.azure.authentication import AzureCliAuthentication as AzureCliAuthentication
from runlore.azure.authentication import AzureMLTokenAuthentication as AzureMLTokenAuthentication
from runlore.azure.authentication import (
    InteractiveLoginAuthentication as InteractiveLoginAuthentication,
)
from runlore.azure.authentication import MsiAuthentication as MsiAuthentication
from runlore.azure.authentication import (
    ServicePrincipalAuthentication as ServicePrincipalAuthentication,
)
from runlore.azure.authentication import TokenAuthentication as TokenAuthentication
from runlore.exceptions import AuthenticationException as AuthenticationException
