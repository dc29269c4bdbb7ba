<?php

/**
 * Columns of WHMCS's tables that the module uses, and of the tables in which the stand-in notes calls.
 */

$options = array_map(static fn (int $i): string => "configoption$i", range(1, 24));

return [
    'tblhosting' => [
        'userid', 'packageid', 'server', 'domain', 'username', 'password', 'domainstatus', 'dedicatedip', 'assignedips', 'notes',
        'disklimit', 'lastupdate',
    ],
    'tblproducts' => ['name', 'servertype', 'welcomeemail', ...$options],
    'tblservers' => ['name', 'ipaddress', 'hostname', 'username', 'password', 'accesshash', 'secure', 'port', 'type', 'disabled'],
    'tblemailtemplates' => ['type', 'name'],
    'tblconfiguration' => ['setting', 'value'],
    'tblcustomfields' => ['type', 'relid', 'fieldname'],
    'tblcustomfieldsvalues' => ['fieldid', 'relid', 'value'],
    'tblhostingconfigoptions' => ['relid', 'configid', 'optionid', 'qty'],
    'tblproductconfigoptions' => ['gid', 'optionname', 'optiontype'],
    'tblproductconfigoptionssub' => ['configid', 'optionname'],
    'stand_in_calls' => ['function', 'arguments'],
];
