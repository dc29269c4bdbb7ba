<?php

/**
 * WHMCS as far as the module needs it, and the module.
 */

require __DIR__ . '/whmcs/init.php';
require_once dirname(__DIR__) . '/modules/servers/vmline/vmline.php';
require_once __DIR__ . '/WhmcsCase.php';
require_once __DIR__ . '/Port.php';
require_once __DIR__ . '/FakeGateway.php';
require_once __DIR__ . '/RealCase.php';
require_once __DIR__ . '/OtherWhmcs.php';
require_once __DIR__ . '/States.php';
