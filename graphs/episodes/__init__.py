"""Any graph run as it is: cast, recorded, sealed, resumed."""
