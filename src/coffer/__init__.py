"""coffer: a database-as-a-service control plane that announces every change it makes."""
